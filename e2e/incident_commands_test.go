package e2e_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// command runs one that must succeed, and returns what it printed.
func (p *program) command(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := p.run(t, append(args, "-c", p.config)...)
	require.Zero(t, code, "%v: %s%s", args, out, errs)
	return out
}

// refused runs one that must fail, and returns what it said.
func (p *program) refused(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := p.run(t, append(args, "-c", p.config)...)
	require.NotZero(t, code, "%v: %s", args, out)
	return errs
}

// TestSilenceAndIncidentCommands: a problem within a silence wakes nobody, is told when the silence ends, and its
// timeline says all of that.
func TestSilenceAndIncidentCommands(t *testing.T) {
	d := stand.Docker(t)
	p := newProgram(t, quiet+"collectors: [{docker: {host: \""+d.Host+"\"}}]\nincidents: {stable: 2s}\nsinks: {screen: {console: {}}}\n")
	p.up(t)
	assert.Equal(t, "no open incidents\n", p.command(t, "incident", "list"))
	assert.Equal(t, "no silences\n", p.command(t, "silence", "list"))

	name := uniqueName("web")
	match := `workload == "` + name + `"`
	for want, args := range map[string][]string{
		"owner: is missing":         {"--match", match, "--until", "2h", "--comment", "x"},
		"comment: is missing":       {"--match", match, "--until", "2h", "--owner", "sre"},
		"a silence needs an end":    {"--match", match, "--owner", "sre", "--comment", "x"},
		"is not ahead":              {"--match", match, "--owner", "sre", "--comment", "x", "--until", "2020-01-01T00:00:00Z"},
		"unknown name wrkload":      {"--match", `wrkload == "web"`, "--owner", "sre", "--comment", "x", "--until", "2h"},
		`"Mars/Phobos" is not a zo`: {"--match", match, "--owner", "sre", "--comment", "x", "--weekly", "01:00-02:00 Mars/Phobos"},
	} {
		assert.Contains(t, p.refused(t, append([]string{"silence", "add"}, args...)...), want)
	}
	said := p.command(t, "silence", "add", "--match", match, "--until", "2h", "--owner", "sre", "--comment", "migration")
	silence := strings.Fields(said)[1]
	assert.Contains(t, said, "no incident is open that it could match")
	assert.Contains(t, p.command(t, "silence", "list", "--now"), match)

	id := d.Run(t, harness.RunSpec{Name: name, Cmd: sh(`[ -e /again ] && exec sleep 1000; touch /again; echo boom; exit 3`)})
	var list string
	eventually(t, within, "the incident is there", func() bool { list = p.command(t, "incident", "list"); return strings.Contains(list, name) })
	assert.Contains(t, list, "silenced")
	incident := strings.Fields(strings.Split(list, "\n")[1])[0]
	assert.NotContains(t, p.out.String(), name, "nobody is told")
	warned := p.command(t, "silence", "add", "--match", `kind == "incident"`, "--until", "1m", "--owner", "sre", "--comment", "too much")
	assert.Contains(t, warned, "it matches every incident")
	assert.Contains(t, warned, "of 1 open incident it holds back 1")
	p.command(t, "silence", "expire", strings.Fields(warned)[1])
	assert.Contains(t, p.command(t, "silence", "add", "--match", `workload == "nobody"`, "--until", "1m", "--owner", "sre", "--comment", "typo"), "it matches none of 1 open incident")

	assert.Contains(t, p.command(t, "silence", "expire", silence), "has ended")
	assert.Contains(t, p.refused(t, "silence", "expire", silence), "there is no silence")
	eventually(t, within, "it is told now", func() bool { return strings.Contains(p.out.String(), name+" stopped: exit code 3") })

	d.Start(t, id)
	eventually(t, within, "its end is told", func() bool { return strings.Contains(p.out.String(), "recovered after") })
	assert.Equal(t, 2, strings.Count(p.out.String(), "  "+name+" stopped: exit code 3"), "once open, once resolved")
	assert.Equal(t, "no open incidents\n", p.command(t, "incident", "list"))
	assert.Contains(t, p.command(t, "incident", "list", "--all"), "resolved")

	story := p.command(t, "incident", "show", incident[:6])
	t.Log(story)
	for _, want := range []string{
		"incident " + incident + ", resolved", "task.stopped", "1: stopped, silenced by " + silence, "notice by route screen: held, silence " + silence,
		"2: silence_ended", "notice by route screen: sent", "3: stable", "task.started",
	} {
		assert.Contains(t, story, want)
	}
	why := p.command(t, "explain", "--incident", incident)
	assert.Contains(t, why, "route screen → screen:")
	assert.Contains(t, why, "held, silence "+silence)
	assert.Contains(t, p.refused(t, "incident", "show", "nothing"), `there is no incident "nothing"`)
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

// TestSilenceOfTheConfig: one that has ended keeps nothing from starting, and says that it can go.
func TestSilenceOfTheConfig(t *testing.T) {
	d := stand.Docker(t)
	name := uniqueName("web")
	p := newProgram(t, quiet+"collectors: [{docker: {host: \""+d.Host+"\"}}]\nsilences:\n"+
		"  - {name: old, match: 'true', owner: sre, comment: over, until: 2026-01-01T00:00:00Z}\n"+
		"  - {name: batch, match: 'workload startsWith \""+name+"-batch\"', owner: data, comment: loads, weekly: [{from: \"00:00\", to: \"24:00\", zone: Europe/Berlin}]}\n")
	p.up(t)
	eventually(t, within, "a word of the old one", func() bool { return strings.Contains(p.err.String(), "has ended and can be taken out") })
	d.Run(t, harness.RunSpec{Name: name + "-batch", Cmd: sh("exit 3")})
	eventually(t, within, "the silenced one", func() bool { return strings.Contains(p.command(t, "incident", "list"), "silenced") })
	d.Run(t, harness.RunSpec{Name: name + "-loud", Cmd: sh("exit 3")})
	eventually(t, within, "the other is told", func() bool { return strings.Contains(p.out.String(), name+"-loud stopped") })
	assert.NotContains(t, p.out.String(), name+"-batch")
	list := p.command(t, "silence", "list")
	assert.Regexp(t, `old +ended`, list)
	assert.Regexp(t, `batch +active +daily 00:00-24:00 Europe/Berlin`, list)
	assert.Contains(t, p.refused(t, "silence", "expire", "batch"), "written in the config")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))

	bad := newProgram(t, quiet+"silences: [{match: 'wrkload == 1', weekly: [{days: [someday], from: '1', to: '2', zone: Nowhere}]}]\nroutes: [{name: a, to: b, after: -1m}]\n")
	errs := bad.refused(t, "check")
	for _, want := range []string{"silences[0].owner", "silences[0].comment", "unknown name wrkload", `weekly[0].days[0]`, `"Nowhere" is not a zone`, "routes[0].after"} {
		assert.Contains(t, errs, want)
	}
}

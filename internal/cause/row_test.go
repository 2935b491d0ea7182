package cause_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// row returns a row that is right, changed by edit.
func userRow(edit func(*cause.Row)) cause.Row {
	r := cause.DefaultRow()
	r.When, r.Class = "exit_code == 42", "exit.error"
	if edit != nil {
		edit(&r)
	}
	return r
}

func TestRowsComeFirstInTheirOrder(t *testing.T) {
	t.Parallel()
	rows := []cause.Row{
		userRow(func(r *cause.Row) { r.Runtime = "containerd" }),
		userRow(func(r *cause.Row) {
			r.Name, r.Say, r.Expected = "nothing to do", "the batch had nothing to do ({code}){after}", true
			r.Confidence, r.Initiator = "fact", "scheduler"
		}),
		userRow(func(r *cause.Row) { r.Class = "exit.other" }),
	}
	own, err := cause.Rules(rows, event.Docker)
	require.NoError(t, err)
	require.Len(t, own, 2, "the first is another runtime's")
	got := append(own, cause.Docker()...).Classify(cause.Evidence{ExitCode: code(42), OOMFlag: true, OwnAction: true})
	got.Evidence = nil
	assert.Equal(t, event.Cause{
		Class: "exit.error", Confidence: event.Fact, Initiator: "scheduler", Expected: true,
		Say: "the batch had nothing to do (exit code 42)", Rule: "config: nothing to do",
	}, got)

	other, err := cause.Rules(rows, event.Containerd)
	require.NoError(t, err)
	got = append(other, cause.Containerd()...).Classify(cause.Evidence{ExitCode: code(42)})
	assert.Equal(t, "config: exit_code == 42", got.Rule)
	assert.Equal(t, "exit code 42", got.Say)
	assert.Equal(t, "app", got.Initiator, "the family says who")
	assert.Equal(t, event.Likely, got.Confidence)
	assert.Equal(t, "failed", append(own, cause.Docker()...).Classify(cause.Evidence{ExitCode: code(41)}).Rule)
}

func TestConditions(t *testing.T) {
	t.Parallel()
	e := cause.Evidence{
		Task:     cause.Identity{Scope: "shop", Workload: "web", Revision: "beef", Name: "shop-web-1", Image: "web:1", Labels: map[string]string{"team": "pay"}},
		ExitCode: code(143), Ran: 90e9, Kills: kills(2e9, 1, 15), StoppedAt: end(), RestartPolicy: "always", Restarts: 3, Service: true,
	}
	for condition, want := range map[string]bool{
		`exit_code == 143 && signal == "SIGTERM"`: true,
		`exit_code in [1, 143]`:                   true,
		`exit_code in 1..5`:                       false,
		`ran > 60 && ran < 90.5`:                  true,
		`"SIGTERM" in kills and len(kills) == 2 and kills[0] == "SIGHUP"`:         true,
		`signal in ["SIGTERM", "SIGINT"]`:                                         true,
		`requested && !oom && !removed && !unseen && !shutdown && !own_action`:    true,
		`workload == "web" && scope == "shop" && revision == "beef"`:              true,
		`name startsWith "shop-" && image matches "^web:"`:                        true,
		`labels["team"] == "pay" && labels.none == ""`:                            true,
		`restart_policy == "always" && restarts >= 3 && service`:                  true,
		`error == "" && !start_failed && !unhealthy && !auto_remove && !replaced`: true,
		`scaled_in || runtime_down || stop_event`:                                 false,
	} {
		own, err := cause.Rules([]cause.Row{userRow(func(r *cause.Row) { r.When = condition })}, event.Docker)
		require.NoError(t, err, condition)
		assert.Equal(t, want, strings.HasPrefix(append(own, cause.Docker()...).Classify(e).Rule, "config: "), condition)
	}
	own, err := cause.Rules([]cause.Row{userRow(func(r *cause.Row) {
		r.When = `exit_code == -1 && signal == "" && ran == 0 && kills == [] && labels["x"] == ""`
	})}, event.Docker)
	require.NoError(t, err)
	assert.Contains(t, own.Classify(cause.Evidence{}).Rule, "config: ", "what is not known is empty")
}

func TestARowThatFailsDoesNotMatchAndSaysSo(t *testing.T) {
	t.Parallel()
	own, err := cause.Rules([]cause.Row{
		userRow(func(r *cause.Row) { r.Name, r.When = "first", `kills[0] == "SIGTERM"` }),
		userRow(func(r *cause.Row) { r.Name, r.When = "parse", `int(labels["limit"]) > 3` }),
	}, event.Docker)
	require.NoError(t, err)
	table := append(own, cause.Docker()...)
	e := cause.Evidence{ExitCode: code(3)}
	got := table.Classify(e)
	assert.Equal(t, "failed", got.Rule)
	explained, _ := table.Explain(e)
	assert.Equal(t, got, explained)
	require.Len(t, got.Evidence, 3, got.Evidence)
	assert.Contains(t, got.Evidence[1], `the row config: first can't be evaluated here: index out of range`)
	assert.Contains(t, got.Evidence[2], `the row config: parse can't be evaluated here: `)
	assert.Equal(t, got, table.Classify(e), "nothing is left behind")
}

func TestFaultsOfARow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(*cause.Row)
		want string
	}{
		"no condition":   {func(r *cause.Row) { r.When = " " }, "when: a row needs a condition"},
		"unknown name":   {func(r *cause.Row) { r.When = "exitcode == 1" }, `when: unknown name exitcode, at character 1 of "exitcode == 1"; did you mean "exit_code"?`},
		"second name":    {func(r *cause.Row) { r.When = "oom || requestd" }, `at character 8 of "oom || requestd"; did you mean "requested"?`},
		"wrong type":     {func(r *cause.Row) { r.When = `exit_code == "42"` }, "when: invalid operation: == (mismatched types int and string), at character 11"},
		"no bool":        {func(r *cause.Row) { r.When = "exit_code" }, "when: expected bool, but got int"},
		"syntax":         {func(r *cause.Row) { r.When = "exit_code ==" }, "when: unexpected token EOF, at character 12"},
		"signal number":  {func(r *cause.Row) { r.When = `signal == "9"` }, `did you mean "SIGKILL"?`},
		"signal name":    {func(r *cause.Row) { r.When = `"term" in kills` }, `did you mean "SIGTERM"?`},
		"no signal":      {func(r *cause.Row) { r.When = `signal in ["SIGTERM", "SIGNOPE"]` }, `there is no signal "SIGNOPE"`},
		"no class":       {func(r *cause.Row) { r.Class = "" }, "class: a row needs a class"},
		"class":          {func(r *cause.Row) { r.Class = "Exit Error" }, `class: "Exit Error" must be words`},
		"class dots":     {func(r *cause.Row) { r.Class = "exit..error" }, "class: "},
		"class slip":     {func(r *cause.Row) { r.Class = "exti.error" }, `class: "exti.error" looks like a slip; did you mean "exit.error"?`},
		"long class":     {func(r *cause.Row) { r.Class = "x." + strings.Repeat("y", 70) }, "at most 64 characters"},
		"handler":        {func(r *cause.Row) { r.Class = "handler.restart" }, "handler is kept"},
		"confidence":     {func(r *cause.Row) { r.Confidence = "certain" }, `confidence: "certain" is not one of fact, likely, guess`},
		"initiator":      {func(r *cause.Row) { r.Initiator = "usr" }, `initiator: "usr" is not one of app, runtime, user, host, platform, scheduler, unknown; did you mean "user"?`},
		"runtime":        {func(r *cause.Row) { r.Runtime = "dokcer" }, `runtime: "dokcer" is not one of docker, containerd, ecs; did you mean "docker"?`},
		"placeholder":    {func(r *cause.Row) { r.Say = "went away {cod}" }, `say: unknown placeholder {cod}; did you mean "code"?`},
		"open brace":     {func(r *cause.Row) { r.Say = "went away {code" }, "say: unknown placeholder {code"},
		"empty sentence": {func(r *cause.Row) { r.Say = "" }, `say: a row needs a sentence; leave the key out for "{code}{after}"`},
		"two lines":      {func(r *cause.Row) { r.Say = "a\nb" }, "say: the sentence must be one line"},
		"long sentence":  {func(r *cause.Row) { r.Say = strings.Repeat("x", 501) }, "say: the sentence has 501 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := userRow(tt.edit).Validate()
			require.ErrorContains(t, err, tt.want)
			require.Len(t, fault.All(err), 1, err)
			assert.NotEmpty(t, fault.All(err)[0].Path)
		})
	}
	all := cause.Row{Runtime: "x", When: "x", Class: "X", Confidence: "x", Initiator: "x", Say: "{x}"}
	require.Len(t, fault.All(all.Validate()), 6, "all at once")
	_, err := cause.Rules([]cause.Row{userRow(nil), all, {Runtime: "docker"}}, event.Docker)
	require.Error(t, err)
}

func TestEveryNameIsDocumented(t *testing.T) {
	t.Parallel()
	for _, n := range cause.Names() {
		assert.NotEmpty(t, n.Name)
		assert.NotEmpty(t, n.Means, n.Name)
		require.NoError(t, userRow(func(r *cause.Row) { r.When = n.Name + " == " + n.Name }).Validate(), n.Name)
	}
}

func TestALongConditionNamesItsRowInShort(t *testing.T) {
	t.Parallel()
	rule, err := userRow(func(r *cause.Row) { r.When = "exit_code == 1 ||\n" + strings.Repeat("exit_code == 2 || ", 20) + "oom" }).Rule()
	require.NoError(t, err)
	assert.Len(t, []rune(rule.Name), len("config: ")+80)
	assert.NotContains(t, rule.Name, "\n")
}

// unsplit has the condition in one part.
func unsplit(r cause.Row) cause.Row {
	r.When = "(" + r.When + "\n) or false"
	return r
}

func FuzzRow(f *testing.F) {
	for _, s := range []string{"exit_code == 42", `kills[0] == "SIGTERM"`, "int(labels.x) / restarts > 1", "all(kills, # == signal)", "1..exit_code", "1 / 0 == 1", "oom && !(unseen || requested && ran > 1)", `not oom and exit_code in 1..5 and kills | none(# == "SIGTERM")`, `"a" matches "("`} {
		f.Add(s, "exit.error", "{code}")
	}
	f.Fuzz(func(t *testing.T, condition, class, say string) {
		row := userRow(func(r *cause.Row) { r.When, r.Class, r.Say = condition, class, say })
		rule, err := row.Rule()
		if err != nil {
			for _, found := range fault.All(err) {
				if found.Path == "" {
					t.Fatalf("a fault without a place: %v", found)
				}
			}
			return
		}
		for _, e := range []cause.Evidence{{}, {ExitCode: code(137), Kills: kills(1e9, 15, 9), Task: cause.Identity{Labels: map[string]string{"x": "1"}}}} {
			table := append(cause.Table{rule}, cause.Docker()...)
			got := table.Classify(e)
			if whole, err := unsplit(row).Rule(); err == nil {
				other := cause.Table{whole}.Classify(e)
				if (other.Rule == whole.Name) != (got.Rule == rule.Name) {
					t.Fatalf("%q: its parts say %q, the whole says %q", condition, got.Rule, other.Rule)
				}
			}
			if got.Say == "" && say != "" || got.Rule == "" || got.Class == "" {
				t.Fatalf("an end is lost: %+v", got)
			}
		}
	})
}

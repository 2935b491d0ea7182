package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bellbuoy.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDefaultsAreAWholeConfig(t *testing.T) {
	l, err := Load(nil)
	require.NoError(t, err)
	assert.Equal(t, "local", l.Config.Site)
	assert.Equal(t, "127.0.0.1:4222", l.Config.NATS.Embedded.Listen)
	assert.Equal(t, "strict", l.Config.NATS.Embedded.Durability)
	assert.NotEmpty(t, l.Config.Node)
}

func TestTheContractsExampleIsRead(t *testing.T) {
	t.Setenv("TOPIC_REGION", "eu-west-1")
	l, err := Load([]string{write(t, `
version: 1
site: prod-eu
node: web-7
data_dir: /var/lib/bellbuoy
http: {listen: 127.0.0.1:8377}
nats:
  url: ""
  embedded: {listen: 127.0.0.1:4222, durability: relaxed}
aws: {region: "${env:TOPIC_REGION}", role_arn: "", endpoint: ""}
collectors:
  - docker: {host: unix:///var/run/docker.sock, logs: {lines: 7}}
sinks:
  pager:  {sns: {topic_arn: "arn:aws:sns:eu-west-1:123456789012:alerts", format: people}}
  search: {opensearch: {addresses: ["https://search.example.com"], prefix: bellbuoy, auth: none}}
  healer: {restart: {mode: dry-run}}
  screen: {console: {}}
routes:
  - {name: page-payments, to: pager, when: 'kind == "incident" && severity >= warn && labels["team"] == "payments"'}
`)})
	require.NoError(t, err)
	c := l.Config
	assert.Equal(t, "relaxed", c.NATS.Embedded.Durability)
	assert.Equal(t, "eu-west-1", c.AWS.Region)
	require.Len(t, c.Collectors, 1)
	assert.Equal(t, "docker", c.Collectors[0].Kind())
	assert.Equal(t, 7, c.Collectors[0].Docker.Logs.Lines)
	assert.Equal(t, "sns", c.Sinks["pager"].Kind())
	assert.Equal(t, "console", c.Sinks["screen"].Kind())
	assert.Equal(t, "bellbuoy", c.Sinks["search"].OpenSearch.Prefix, "defaults hold below a component")
}

func TestEveryFaultIsToldAtOnceWithItsPlace(t *testing.T) {
	_, err := Load([]string{"testdata/faults.yaml"})
	var faults Faults
	require.ErrorAs(t, err, &faults)
	got := make([]string, len(faults))
	for i, f := range faults {
		got[i] = f.Error()
	}
	for i, want := range []string{
		`testdata/faults.yaml:3:1: unknown key "htpp"; did you mean "http"?`,
		`testdata/faults.yaml:5:22: nats.embedded.listen: "0.0.0.0" is not a loopback address`,
		`testdata/faults.yaml:5:48: nats.embedded.durability: "strickt" is not one of strict, relaxed; did you mean "strict"?`,
		`testdata/faults.yaml:7:28: collectors[0].docker.logs.lines must be a whole number, not "many"`,
		`testdata/faults.yaml:9:28: sinks.pager.sns.topic_arn`,
		`testdata/faults.yaml:10:73: sinks.search.opensearch.password: environment variable BELLBUOY_TEST_ABSENT`,
		`testdata/faults.yaml:12:22: routes[0].to: there is no sink "pagr"; did you mean "pager"?`,
		`testdata/faults.yaml:13:35: routes[1].when: unknown name sevrity, at character 1 of "sevrity >= warn"; did you mean "severity"?`,
		`testdata/faults.yaml:15:12: cause[0].when: unknown name exit_cod, at character 1 of "exit_cod == 42"; did you mean "exit_code"?`,
		`testdata/faults.yaml:15:37: cause[0].class: "exti.error" looks like a slip; did you mean "exit.error"?`,
	} {
		require.Greater(t, len(got), i, "missing: %s\nhave:\n%s", want, strings.Join(got, "\n"))
		assert.True(t, strings.HasPrefix(got[i], want), "want %s\ngot  %s", want, got[i])
	}
	assert.Len(t, got, 10, strings.Join(got, "\n"))
}

func TestFaultsOfOneFile(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"syntax":           {"version: 1\nsite: [a\n", "not YAML"},
		"twice":            {"version: 1\nsite: a\nsite: b\n", `key "site" is given twice`},
		"list for mapping": {"nats: [1]\n", "nats must be a mapping"},
		"mapping for list": {"routes: {name: x}\n", "routes must be a list"},
		"mapping for text": {"site: {a: b}\n", "site must be a single value"},
		"version":          {"version: 2\n", "reads version 1, not 2"},
		"no kind":          {"sinks: {a: {}}\n", "exactly one kind of sink"},
		"two kinds":        {"sinks: {a: {console: {}, restart: {}}}\n", "exactly one kind of sink"},
		"unknown kind":     {"sinks: {a: {slak: {}}}\n", `unknown key "slak"`},
		"unknown ref":      {"site: ${vault:x}\n", "use ${env:NAME} or ${file:PATH}"},
		"secret file":      {"site: ${file:/does/not/exist}\n", "can't be read"},
		"route name":       {"sinks: {a: {console: {}}}\nroutes: [{name: a.b, to: a}]\n", "letters, digits"},
		"same route":       {"sinks: {a: {console: {}}}\nroutes: [{name: r, to: a}, {name: r, to: a}]\n", "must be unique"},
		"no bool":          {"sinks: {a: {console: {}}}\nroutes: [{name: r, to: a, when: workload}]\n", "bool"},
		"listen":           {"http: {listen: 8377}\n", "must be host:port"},
		"cause condition":  {"cause: [{class: exit.ok}]\n", "bellbuoy.yaml:1:9: cause[0].when: a row needs a condition"},
		"cause sentence":   {"cause:\n  - when: oom\n    class: oom\n    say: 'dead {cod}'\n", `bellbuoy.yaml:4:10: cause[0].say: unknown placeholder {cod}; did you mean "code"?`},
		"cause key":        {"cause: [{when: oom, klass: oom}]\n", `unknown key "klass"; did you mean "class"?`},
		"cause bool":       {"cause: [{when: oom, class: oom, expected: maybe}]\n", "cause[0].expected must be true or false"},
		"alias circle":     {"site: &a *a\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load([]string{write(t, c.text)})
			var faults Faults
			require.ErrorAs(t, err, &faults)
			assert.Contains(t, err.Error(), c.says)
		})
	}
}

func TestRowsOfCauses(t *testing.T) {
	first := write(t, `
cause:
  - {when: 'exit_code == 42', class: exit.error, expected: true, say: "nothing to do"}
  - {name: pay, runtime: docker, when: 'labels["team"] == "pay" && oom', class: oom, confidence: fact, initiator: app}
`)
	second := write(t, "cause: [{when: unseen, class: unknown.lost}]\n")
	l, err := Load([]string{first, second})
	require.NoError(t, err)
	require.Len(t, l.Config.Cause, 3, "a later file adds rows")
	assert.Equal(t, cause.Row{When: "exit_code == 42", Class: "exit.error", Confidence: "likely", Expected: true, Say: "nothing to do"}, l.Config.Cause[0])
	assert.Equal(t, "{code}{after}", l.Config.Cause[1].Say)
	text, err := l.Print()
	require.NoError(t, err)
	assert.Contains(t, string(text), "when: exit_code == 42")
	again, err := Load([]string{write(t, string(text))})
	require.NoError(t, err, "what is printed can be read:\n%s", text)
	assert.Equal(t, l.Config.Cause, again.Config.Cause)
}

func TestTheExamplesOfTheReferenceAreRight(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "causes.md"))
	require.NoError(t, err)
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	require.Greater(t, len(blocks), 3)
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		l, err := Load([]string{write(t, text)})
		require.NoError(t, err, text)
		assert.NotEmpty(t, l.Config.Cause)
	}
}

func TestEnvironmentWinsOverFilesAndSaysItsFaults(t *testing.T) {
	path := write(t, "site: file\nnats: {replicas: 3}\n")
	t.Setenv("BELLBUOY_SITE", "environment")
	t.Setenv("BELLBUOY_NATS_URL", "nats://127.0.0.1:4333")
	l, err := Load([]string{path})
	require.NoError(t, err)
	assert.Equal(t, "environment", l.Config.Site)
	assert.Equal(t, "nats://127.0.0.1:4333", l.Config.NATS.URL)
	assert.Equal(t, 3, l.Config.NATS.Replicas)

	t.Setenv("BELLBUOY_NATS_REPLICAS", "many")
	_, err = Load([]string{path})
	require.ErrorContains(t, err, `environment: BELLBUOY_NATS_REPLICAS must be a whole number, not "many"`)
}

func TestFilesAddUp(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"10-base.yaml":  "site: a\nsinks: {screen: {console: {}}}\nroutes: [{name: one, to: screen}]\n",
		"20-more.yaml":  "site: b\nsinks: {healer: {restart: {}}}\nroutes: [{name: two, to: healer}]\n",
		"notes.txt":     "not: read\n",
		"30-empty.yaml": "# nothing yet\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	l, err := Load([]string{dir})
	require.NoError(t, err)
	assert.Equal(t, "b", l.Config.Site)
	assert.Len(t, l.Config.Sinks, 2)
	assert.Len(t, l.Config.Routes, 2)
	assert.Len(t, l.Files, 3)

	_, err = Load([]string{filepath.Join(dir, "absent.yaml")})
	require.ErrorContains(t, err, "no such file")
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(secret, []byte("hunter2\n"), 0o600))
	l, err := Load([]string{write(t, `
sinks:
  search: {opensearch: {addresses: ["https://127.0.0.1:9200"], auth: basic, username: "${file:`+secret+`}", password: "${file:`+secret+`}"}}
  plain:  {opensearch: {addresses: ["https://127.0.0.1:9200"], auth: basic, username: u, password: hunter2}}
`)})
	require.NoError(t, err)
	text, err := l.Print()
	require.NoError(t, err)
	assert.NotContains(t, string(text), "hunter2")
	assert.Contains(t, string(text), "${file:"+secret+"}")
	assert.Contains(t, string(text), "<redacted>")

	again := strings.ReplaceAll(string(text), "<redacted>", "x")
	_, err = Load([]string{write(t, again)})
	require.NoError(t, err, "what is printed can be read:\n%s", text)
}

func TestSchemaKnowsEveryKey(t *testing.T) {
	text, err := Schema()
	require.NoError(t, err)
	for _, key := range []string{"durability", "topic_arn", "addresses", "lines", "mode", "when", "cause", "initiator"} {
		assert.Contains(t, string(text), `"`+key+`"`)
	}
}

func FuzzLoad(f *testing.F) {
	seed, err := os.ReadFile("testdata/faults.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(seed))
	f.Add("cause: [{when: 'exit_code == 42', class: exit.error, say: '{code}'}]")
	f.Add("a: &a [*a]\n")
	f.Add("sinks: {a: {console: }}\nroutes: [{to: a}]")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load([]string{path})
		var faults Faults
		if err != nil && !errors.As(err, &faults) {
			t.Fatalf("an error that is no fault: %v", err)
		}
	})
}

package archtest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// rules are checked on every package of the module. Each has a planted source below that breaks it.
func rules() map[string]func(*unit) []string {
	return map[string]func(*unit) []string{
		"imports":         imports,
		"no init":         noInit,
		"no hidden state": noHiddenState,
		"package comment": packageComment,
		"package name":    packageName,
		"size":            size,
		"no bare sleep":   noBareSleep,
		"no new context":  noFreshContext,
		"no sudden end":   noSuddenEnd,
	}
}

func TestTree(t *testing.T) {
	t.Parallel()
	units := parse(t, readTree(t, moduleRoot(t)))
	if len(units) < 5 {
		t.Fatalf("only %d packages found: the walk is broken", len(units))
	}
	for name, rule := range rules() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, u := range units {
				for _, found := range rule(u) {
					t.Error(found)
				}
			}
		})
	}
}

// planted is a source that breaks a rule, or that must not.
type planted struct {
	rule string
	path string
	text string
	want string // part of the only finding; empty: the source is good
}

func TestRulesCanFail(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{}
	for name, tt := range plants() {
		broken[tt.rule] = broken[tt.rule] || tt.want != ""
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			units := parse(t, map[string]string{tt.path: tt.text})
			expect(t, rules()[tt.rule](units[0]), tt.want)
		})
	}
	for _, name := range slices.Sorted(maps.Keys(rules())) {
		if !broken[name] {
			t.Errorf("nothing proves that rule %q can fail", name)
		}
	}
}

func importing(paths ...string) string {
	return "package x\n\nimport (\n\t_ \"" + strings.Join(paths, "\"\n\t_ \"") + "\"\n)\n"
}

func plants() map[string]planted {
	all := importPlants()
	maps.Copy(all, statePlants())
	maps.Copy(all, shapePlants())
	return all
}

func importPlants() map[string]planted {
	const (
		ours = module + "/"
		nats = "github.com/nats-io/nats.go"
	)
	return map[string]planted{
		"event imports ours":      {"imports", "schemas/event/x.go", importing(ours + "internal/fault"), "depends on nothing"},
		"collector imports bus":   {"imports", "collectors/docker/x.go", importing(ours + "internal/bus"), "x.go:4: collectors/docker may not import internal/bus: a collector knows neither"},
		"collector imports peer":  {"imports", "collectors/ecs/x.go", importing(ours + "collectors/docker"), "nor another collector"},
		"collector imports cause": {"imports", "collectors/new/x.go", importing(ours+"collectors", ours+"schemas/event", ours+"internal/cause", ours+"internal/backoff"), ""},
		"sink imports router":     {"imports", "sinks/sns/x.go", importing(ours + "router"), "knows neither the router"},
		"sink test imports suite": {"imports", "sinks/sns/x_test.go", importing(ours+"sinks/sinktest", ours+"e2e/harness", ours+"sinks/sns", nats), ""},
		"sink test imports bus":   {"imports", "sinks/sns/x_test.go", importing(ours + "internal/bus"), "knows neither the router nor the bus"},
		"sink imports suite":      {"imports", "sinks/sns/x.go", importing(ours + "sinks/sinktest"), "must not end up in the program"},
		"app imports support":     {"imports", "internal/app/x.go", importing(ours + "internal/bus/bustest"), "must not end up in the program"},
		"app imports all":         {"imports", "internal/app/x.go", importing(ours+"collectors/ecs", ours+"sinks/sns", ours+"router", ours+"internal/config"), ""},
		"router imports a sink":   {"imports", "router/x.go", importing(ours + "sinks/opensearch"), "never one sink"},
		"bus imports router":      {"imports", "internal/bus/x.go", importing(ours + "router"), "knows neither end"},
		"sink imports config":     {"imports", "sinks/console/x.go", importing(ours + "internal/config"), "sinks/console may not import internal/config"},
		"cmd imports a sink":      {"imports", "cmd/bellbuoy/x.go", importing(ours + "sinks/sns"), "calls the wiring"},
		"leaf imports leaf":       {"imports", "internal/redact/x.go", importing(ours + "internal/fault"), "a leaf imports nothing"},
		"unplaced package":        {"imports", "internal/new/x.go", importing("fmt"), "internal/new: the package has no row"},
		"nats in the router":      {"imports", "router/x.go", importing(nats), "NATS stays behind internal/bus"},
		"nats in the bus":         {"imports", "internal/bus/x.go", importing(nats), ""},
		"nats in e2e":             {"imports", "e2e/harness/cmd/x/x.go", importing(nats), ""},
		"aws in the router":       {"imports", "router/x.go", importing("github.com/aws/aws-sdk-go-v2/aws"), "needs its SDK"},
		"assertions in a sink":    {"imports", "sinks/sns/x.go", importing("github.com/stretchr/testify/require"), "belong to tests"},
	}
}

func statePlants() map[string]planted {
	const dir = "sinks/x/x.go"
	state := func(text, want string) planted {
		return planted{"no hidden state", dir, "package x\n" + text, want}
	}
	return map[string]planted{
		"init":                 {"no init", dir, "package x\nfunc init() {}\n", "x.go:2: func init"},
		"method init":          {"no init", dir, "package x\ntype t int\nfunc (t) init() {}\n", ""},
		"guard":                state("var _ I = (*T)(nil)\n", ""),
		"sentinel":             state("import \"errors\"\nvar ErrX = errors.New(\"x\")\n", ""),
		"embed":                state("import _ \"embed\"\n//go:embed x.json\nvar doc []byte\n", ""),
		"pattern":              state("import \"regexp\"\nvar re = regexp.MustCompile(`x`)\nfunc f() bool { return re.MatchString(\"x\") }\n", ""),
		"table":                state("var words = map[string]int{\"a\": 1}\nfunc f() int { words := words[\"a\"]; words++; return words }\n", ""),
		"conversion":           state("var head = []byte(\"x\")\nvar n = int64(3)\n", ""),
		"computed":             state("var t = func() map[string]int { m := map[string]int{}; m[\"a\"] = 1; return m }()\n", ""),
		"no value":             state("var n int\n", "exists to be changed"),
		"linked":               {"no hidden state", "cmd/x/main.go", "package main\n\nvar version string\n", ""},
		"linked, then changed": {"no hidden state", "cmd/x/main.go", "package main\n\nvar version string\n\nfunc f() { version = \"x\" }\n", "version is assigned"},
		"lock":                 state("import \"sync\"\nvar mu = sync.Mutex{}\n", "is a sync.Mutex"),
		"made map":             state("var m = make(map[string]int)\n", "call of make"),
		"channel":              state("var c = (chan int)(nil)\n", "is a channel"),
		"pointer":              state("type T struct{}\nvar t = &T{}\n", "is a pointer"),
		"constructor":          state("var t = newT()\n", "call of newT"),
		"assigned":             state("var n = 1\nfunc f() { n = 2 }\n", "var n is assigned to"),
		"element assigned":     state("var m = map[string]int{}\nfunc f() { m[\"a\"] = 2 }\n", "var m is assigned to"),
		"field assigned":       state("var t = T{}\ntype T struct{ n int }\nfunc f() { t.n += 2 }\n", "var t is assigned to"),
		"incremented":          state("var n = 1\nfunc f() { n++ }\n", "var n is assigned to"),
		"appended":             state("var s = []int{}\nfunc f() { s = append(s, 1) }\n", "var s is assigned to"),
		"deleted":              state("var m = map[string]int{}\nfunc f() { delete(m, \"a\") }\n", "changed by delete"),
		"sorted":               state("import \"slices\"\nvar s = []int{}\nfunc f() { slices.Sort(s) }\n", "changed by Sort"),
		"address":              state("var n = 1\nfunc f() *int { return &n }\n", "address taken"),
		"pointer method":       state("var t = T{}\ntype T struct{ n int }\nfunc (t *T) add() { t.n++ }\nfunc f() { t.add() }\n", "receiver of add"),
		"foreign":              state("import \"net/http\"\nfunc f() { http.DefaultClient = nil }\n", "http.DefaultClient is assigned"),
		"shadowed":             state("var n = 1\nfunc f(n int) { n = 2 }\n", ""),
		"assigned in tests":    {"no hidden state", "sinks/x/x_test.go", "package x\nvar n = 1\nfunc f() { n = 2 }\n", "var n is assigned to"},
	}
}

func shapePlants() map[string]planted {
	const dir = "sinks/x/x.go"
	long := strings.Repeat("\tprintln()\n", maxFuncLines)
	return map[string]planted{
		"no comment":           {"package comment", dir, "package x\n", "no package comment"},
		"comment":              {"package comment", dir, "// Package x is.\npackage x\n", ""},
		"comment of another":   {"package comment", dir, "// Helpers.\npackage x\n", "starts with"},
		"command":              {"package comment", "cmd/x/main.go", "// Command x is.\npackage main\n", ""},
		"util":                 {"package name", "internal/util/x.go", "package util\n", "a noun an operator knows"},
		"long function":        {"size", dir, "package x\nfunc f() {\n" + long + "}\n", "f has 82 lines"},
		"long file":            {"size", dir, "package x\n" + strings.Repeat("\n", maxFileLines), "501 lines"},
		"long generated":       {"size", dir, "// Code generated by x; DO NOT EDIT.\n\npackage x\n" + strings.Repeat("\n", maxFileLines), ""},
		"sleep in a test":      {"no bare sleep", "sinks/x/x_test.go", "package x\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }\n", "x_test.go:3"},
		"sleep elsewhere":      {"no bare sleep", "sinks/x/x_test.go", "package x\nimport \"time\"\nfunc f(c T) { c.Sleep(time.Second) }\n", ""},
		"background in a sink": {"no new context", dir, "package x\nimport \"context\"\nvar _ = context.Background()\n", "cuts cancellation"},
		"background in a main": {"no new context", "cmd/x/main.go", "package main\nimport \"context\"\nvar _ = context.Background()\n", ""},
		"panic":                {"no sudden end", dir, "package x\nfunc f() { panic(1) }\n", "panic outside of a main package"},
		"exit":                 {"no sudden end", dir, "package x\nimport \"os\"\nfunc f() { os.Exit(1) }\n", "os.Exit"},
		"exit of main":         {"no sudden end", "cmd/x/main.go", "package main\nimport \"os\"\nfunc main() { os.Exit(1) }\n", ""},
		"fatal":                {"no sudden end", dir, "package x\nimport \"log\"\nfunc f() { log.Fatalf(\"x\") }\n", "log.Fatalf"},
		"must declared":        {"no sudden end", dir, "package x\nfunc MustX() {}\n", "func MustX"},
		"must called":          {"no sudden end", dir, "package x\nfunc f(r R) { r.MustRegister() }\n", "r.MustRegister, which panics"},
		"registry filled":      {"no sudden end", "internal/telemetry/x.go", "package x\nfunc f(r R) { r.MustRegister() }\n", ""},
		"constant pattern":     {"no sudden end", dir, "package x\nimport \"regexp\"\nvar re = regexp.MustCompile(`x`)\n", ""},
		"panic in a test":      {"no sudden end", "sinks/x/x_test.go", "package x\nfunc f() { panic(1) }\n", ""},
	}
}

package cause_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// anyEvidence makes evidence of bits: each of its facts can be there or not, whether or not a runtime
// would ever tell them together.
func anyEvidence(bits uint64) cause.Evidence {
	take := func(n uint64) uint64 {
		v := bits % n
		bits /= n
		return v
	}
	is := func() bool { return take(2) == 1 }
	e := cause.Evidence{
		OwnAction: take(8) == 1, StartFailed: take(8) == 1, Shutdown: take(4) == 1, Replaced: take(4) == 1, ScaledIn: take(4) == 1,
		OOMFlag: is(), OOMEvent: is(), OOMCounted: take(4) == 1, StopEvent: take(4) == 1, ExplicitlyStopped: take(8) == 1,
		Removed: is(), AutoRemove: is(), Unhealthy: is(), Service: take(4) == 1, Unseen: is(), Restarted: is(), PolicyRestarted: is(),
		NoKillRecord: is(), RuntimeDown: take(8) == 1,
	}
	codes := []int64{0, 1, 3, 126, 127, 128, 130, 137, 139, 143, 255, -1, 1 << 40}
	if n := take(uint64(len(codes)) + 2); n < uint64(len(codes)) {
		e.ExitCode = &codes[n]
	}
	e.RestartPolicy = []string{"", "no", "always", "on-failure:3"}[take(4)]
	e.Ran = []time.Duration{0, 20 * time.Millisecond, time.Hour}[take(3)]
	for range take(3) {
		e.Kills = append(e.Kills, cause.Kill{Signal: []int{9, 15, 10, 0}[take(4)]})
	}
	return e
}

// ruleOf is a slow and plain Classify: the first row all of whose tests hold.
func ruleOf(t cause.Table, e cause.Evidence) (int, string) {
	for i, rule := range t {
		if !slices.ContainsFunc(rule.When, func(test cause.Test) bool { return !test.Holds(&e) }) {
			return i, rule.Name
		}
	}
	return len(t), "nothing-known"
}

// checkProperties holds for all evidence and both tables.
func checkProperties(t *testing.T, e cause.Evidence) {
	t.Helper()
	always, err := cause.Row{When: "ran >= 0", Class: "exit.any", Confidence: "fact", Say: "x"}.Rule()
	require.NoError(t, err)
	names := map[string]bool{}
	for _, rule := range cause.Containerd() {
		names[rule.Name] = true
	}
	docker, containerd := cause.Docker().Classify(e), cause.Containerd().Classify(e)
	if names[docker.Rule] {
		require.Equal(t, docker, containerd, "the same fact, the same words")
	}
	for _, table := range []cause.Table{cause.Docker(), cause.Containerd()} {
		got := table.Classify(e)
		at, want := ruleOf(table, e)
		require.Equal(t, want, got.Rule, "the first match wins")
		require.NotEmpty(t, got.Say)
		require.NotContains(t, got.Say, "{", "every placeholder is filled")
		require.NotEmpty(t, got.Evidence)

		explained, near := table.Explain(e)
		require.Equal(t, got, explained, "what is explained is what is told")
		require.LessOrEqual(t, len(near), 3)
		for _, n := range near {
			i := slices.IndexFunc(table, func(r cause.Rule) bool { return r.Name == n.Rule })
			require.Less(t, i, at, "%s could not have won", n.Rule)
			missing := 0
			for _, test := range table[i].When {
				if !test.Holds(&e) {
					missing++
					require.Equal(t, test.Text, n.Missing)
				}
			}
			require.Equal(t, 1, missing)
		}
		require.Equal(t, "config: ran >= 0", append(cause.Table{always}, table...).Classify(e).Rule, "a user's row goes first")
	}
}

func TestProperties(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	hit := map[string]bool{}
	for range 2000 {
		e := anyEvidence(r.Uint64())
		checkProperties(t, e)
		hit[cause.Docker().Classify(e).Rule] = true
	}
	assert.Len(t, hit, len(cause.Docker())+1, "the evidence reaches every row")
}

func FuzzClassify(f *testing.F) {
	f.Add(uint64(0), "", "")
	f.Add(uint64(1<<63-1), "SIGKILL", "exec: no such file")
	f.Fuzz(func(t *testing.T, bits uint64, policy, failure string) {
		e := anyEvidence(bits)
		checkProperties(t, e)
		e.RestartPolicy, e.StateError = policy, failure
		if got := cause.Docker().Classify(e); got.Say == "" || got.Rule == "" {
			t.Fatalf("an end is lost: %+v", got)
		}
	})
}

// TestSharedRows holds that a row of both tables is one row, in one order.
func TestSharedRows(t *testing.T) {
	t.Parallel()
	docker := cause.Docker()
	at := 0
	for _, rule := range cause.Containerd() {
		i := slices.IndexFunc(docker[at:], func(r cause.Rule) bool { return r.Name == rule.Name })
		require.GreaterOrEqual(t, i, 0, "%s has another place on Docker, or none", rule.Name)
		at += i
		assert.Equal(t, words(docker[at]), words(rule))
	}
	names := map[string]bool{}
	for _, rule := range docker {
		assert.False(t, names[rule.Name], "two rows are called %s", rule.Name)
		names[rule.Name] = true
		assert.False(t, strings.HasPrefix(rule.Name, event.UserRule))
	}
}

// words is all of a row that can be compared.
func words(r cause.Rule) string {
	text := fmt.Sprint(r.Name, r.Class, r.Confidence, r.Initiator, r.Expected, r.Say)
	for _, test := range r.When {
		text += "; " + test.Text
	}
	return text
}

func TestNear(t *testing.T) {
	t.Parallel()
	near := func(e cause.Evidence) []string {
		_, list := cause.Docker().Explain(e)
		var out []string
		for _, n := range list {
			out = append(out, n.Rule+": "+n.Missing)
		}
		return out
	}
	assert.Equal(t, []string{"oom: an out-of-memory kill was seen in this run"}, near(cause.Evidence{ExitCode: code(137)}))
	assert.Equal(t, []string{
		"removed-by-force: it was removed right after",
		"stop-forced: a gentler signal than SIGKILL was sent or a stop request was completed",
		"daemon-shutdown: the host or its runtime went down",
	}, near(cause.Evidence{ExitCode: code(137), Kills: kills(time.Second, 9)}), "those with more in their favour come first")
	assert.Equal(t, []string{
		"service-ended: its restart policy or its service wants it to run for ever",
	}, near(cause.Evidence{ExitCode: code(0)}))
	assert.Empty(t, near(cause.Evidence{OwnAction: true}))
}

func TestNearRowsOfAUser(t *testing.T) {
	t.Parallel()
	own, err := cause.Rules([]cause.Row{
		userRow(func(r *cause.Row) { r.When = `exit_code == 137 && workload == "web" && ran > 1` }),
		userRow(nil),
		userRow(func(r *cause.Row) { r.When = `exit_code == 1 && workload == "web"` }),
	}, event.Docker)
	require.NoError(t, err)
	_, near := append(own, cause.Docker()...).Explain(cause.Evidence{ExitCode: code(137), Ran: time.Minute})
	require.Len(t, near, 3)
	assert.Equal(t, `workload == "web"`, near[0].Missing)
	assert.Equal(t, "oom", near[1].Rule)
	assert.Equal(t, "config: exit_code == 42", near[2].Rule, "of a user's rows those of one test, too")
}

func BenchmarkClassify(b *testing.B) {
	own, err := cause.Rules([]cause.Row{userRow(nil), userRow(func(r *cause.Row) { r.When = `labels["team"] == "pay" && oom` })}, event.Docker)
	if err != nil {
		b.Fatal(err)
	}
	stopped := cause.Evidence{Kills: kills(time.Second, 15), StoppedAt: end(), ExitCode: code(0), Ran: time.Hour, StopEvent: true}
	failed := cause.Evidence{ExitCode: code(3), Ran: time.Hour}
	for name, tt := range map[string]struct {
		table cause.Table
		e     cause.Evidence
	}{
		"stopped":         {cause.Docker(), stopped},
		"failed":          {cause.Docker(), failed},
		"failed-own-rows": {append(own, cause.Docker()...), failed},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = tt.table.Classify(tt.e)
			}
		})
	}
}

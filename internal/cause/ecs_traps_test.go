package cause_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const uuid = "0f6a1b4f-2c9d-4b7e-a1aa-0123456789ab"

// trap is evidence that misleads who reads a part of it only.
type trap struct {
	evidence cause.Evidence
	class    string
	expected bool
	// container is the one that the stop came from.
	container string
}

func codeTraps() map[string]trap {
	const yes, no = true, false
	return map[string]trap{
		"sidecar 0, app 2, nothing known":                {ended(part("log", 0, ""), part("app", 2, "")), "exit.error", no, "app"},
		"sidecar 0, app 2, essential known":              {ended(must("ny", part("log", 0, ""), part("app", 2, ""))...), "exit.error", no, "app"},
		"job 0, sidecar 1 that is not essential":         {ended(must("yn", part("job", 0, ""), part("log", 1, ""))...), "exit.zero.standalone", yes, "job"},
		"job 0, the other essential one obeyed":          {ended(must("yy", part("proxy", 143, ""), part("job", 0, ""))...), "exit.zero.standalone", yes, "job"},
		"job 0 first, the other one was killed":          {ended(must("yy", part("job", 0, ""), part("proxy", 137, ""))...), "exit.zero.standalone", yes, "job"},
		"killed first, the other one obeyed":             {ended(must("yy", part("app", 137, ""), part("proxy", 0, ""))...), "exit.sigkill", no, "app"},
		"0 and 137, nothing known":                       {ended(part("app", 0, ""), part("proxy", 137, "")), "exit.sigkill", no, "proxy"},
		"0 and 137, which took its whole stop timeout":   {with(ended(part("proxy", 137, ""), part("job", 0, "")), func(e *cause.Evidence) { e.StopTook = 31 * time.Second }), "exit.zero.standalone", yes, "job"},
		"killed alone, after a long stop":                {with(ended(part("app", 137, "")), func(e *cause.Evidence) { e.StopTook = 31 * time.Second }), "exit.sigkill", no, ""},
		"app 1, sidecar killed after it":                 {ended(part("proxy", 137, ""), part("app", 1, "")), "exit.error", no, "app"},
		"two failed, the first in the order that is set": {ended(must("yy", part("app", 3, ""), part("proxy", 4, ""))...), "exit.error", no, "app"},
		"AWS's own sidecar is in no task definition":     {ended(part("aws-guardduty-agent-abc", 1, ""), part("app", 0, "")), "exit.zero.standalone", yes, "app"},
		"0 in a service":                                 {with(ended(part("log", 0, ""), part("app", 0, "")), service), "exit.zero.service", no, "log"},
		"no code of an essential one":                    {ended(must("yn", part("app", nil, ""), part("log", 1, ""))...), "exit.none", no, ""},
		"no code anywhere, no stop code":                 {task("", exited, part("app", nil, ""), part("log", nil, "")), "exit.none", no, ""},
		"old data without a stop code":                   {task("", exited, part("app", 0, "")), "exit.zero.standalone", yes, ""},
		"the code of the evidence, if no part has one":   {with(ended(part("app", nil, "")), func(e *cause.Evidence) { e.ExitCode = code(9) }), "exit.error", no, ""},
		"SIGPIPE":                    {ended(part("app", 141, "")), "exit.error", no, ""},
		"a new stop code":            {task("PlatformWhim", "", part("app", 137, "")), "unknown", no, ""},
		"a job of Batch":             {with(ended(part("job", 3, "")), func(e *cause.Evidence) { e.Task.Scope = "AWSBatch-nightly" }), "exit.error", yes, ""},
		"a cluster with a like name": {with(ended(part("app", 3, "")), func(e *cause.Evidence) { e.Task.Scope = "my_Batch_cluster" }), "exit.error", no, ""},
		"a job of Batch 2":           {with(ended(part("job", 137, "OutOfMemoryError: x")), func(e *cause.Evidence) { e.Task.Scope = "nightly_Batch_" + uuid }), "oom", yes, ""},
	}
}

func textTraps() map[string]trap {
	const yes, no = true, false
	return map[string]trap{
		"a sidecar's image on EC2":                   {task("TaskFailedToStart", failedStart, part("app", nil, ""), part("log", nil, pullMissing)), "start.image.notfound", no, "log"},
		"old EC2, the cause in the container":        {task("EssentialContainerExited", exited, part("app", nil, pullMissing), part("log", 0, "")), "start.image.notfound", no, "app"},
		"a sidecar that is not essential":            {ended(must("yn", part("app", 2, ""), part("log", nil, pullMissing))...), "exit.error", no, "app"},
		"a sidecar out of memory":                    {ended(must("yn", part("app", 2, ""), part("log", 137, "OutOfMemoryError: x"))...), "exit.error", no, "app"},
		"out of memory in the start":                 {task("TaskFailedToStart", failedStart, part("app", 137, "OutOfMemoryError: Container killed due to memory usage"), part("log", nil, "")), "oom", no, "app"},
		"denied is no network interface":             {pull("CannotPullContainerError: pull access denied by the registry"), "start.image.auth", no, ""},
		"an interface that is denied":                {fargate("unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-1': UnauthorizedOperation, access denied"), "start.network", no, ""},
		"403 in a tag":                               {pull("CannotPullContainerError: Error response from daemon: Get https://registry.example/v2/app/manifests/build:403: i/o timeout"), "start.image.network", no, ""},
		"secrets, the name of the error only":        {fargate("ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret from asm: AccessDeniedException: User is not authorized to perform: secretsmanager:GetSecretValue"), "start.secrets", no, ""},
		"logging that the network does not reach":    {fargate(`ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: Post "https://logs.eu-west-1.amazonaws.com/": dial tcp 192.0.2.7:443: i/o timeout : exit status 1`), "start.secrets.network", no, ""},
		"a secret on EC2 that the network hides":     {pull("Fetching secret data from SSM Parameter Store in eu-west-1: RequestError: send request failed caused by: dial tcp 192.0.2.7:443: i/o timeout"), "start.secrets.network", no, ""},
		"a runtime timeout after it ran":             {with(ended(part("app", nil, "DockerTimeoutError: Could not transition to stopped; timed out after waiting 30s")), func(e *cause.Evidence) { e.Ran = time.Hour }), "exit.none", no, ""},
		"Spot with a notice":                         {task("TerminationNotice", "Spot Task was interrupted.", part("app", 0, "")), "spot.interruption", yes, ""},
		"maintenance with a notice":                  {task("TerminationNotice", "ECS is performing maintenance on the underlying infrastructure hosting the task."), "infra.maintenance", yes, ""},
		"health, though 143":                         {task("", "Task failed ELB health checks in (target-group "+group+")", part("app", 143, "")), "health.loadbalancer", no, ""},
		"a user's words":                             {task("UserInitiated", "the deploy of CannotPullContainerError was not found", part("app", nil, "")), "user.stop", yes, ""},
		"a login that is no image":                   {fargate("ResourceInitializationError: unable to pull secrets or registry auth: CannotPullRegistryAuth: AccessDeniedException"), "start.secrets", no, ""},
		"the same in the task and in a container":    {task("TaskFailedToStart", pullMissing, part("app", nil, ""), part("log", nil, pullMissing)), "start.image.notfound", no, "log"},
		"a deploy without words":                     {with(task("ServiceSchedulerInitiated", "", part("app", 137, "")), func(e *cause.Evidence) { e.Replaced = true }), "deploy.replaced", yes, ""},
		"replaced, but it had crashed":               {with(ended(part("app", 139, "")), func(e *cause.Evidence) { e.Replaced = true }), "exit.crash", no, ""},
		"scaled in with an error of its own":         {task("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)", part("app", 1, "")), "scheduler.scaling", yes, ""},
		"scaling further behind is no scaling":       {task("EssentialContainerExited", "Essential container in task exited. Scaling activity initiated by", part("app", 1, "")), "exit.error", no, ""},
		"a reason of blanks":                         {task("EssentialContainerExited", "  \n", part("app", 1, "")), "exit.error", no, ""},
		"a container whose text is no cause":         {ended(part("app", 1, "it was tired")), "exit.error", no, ""},
		"image in the task's reason, found by image": {task("TaskFailedToStart", "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref shop/web:v9: not found", cause.Part{Name: "db", Image: "shop/db:1"}, cause.Part{Name: "web", Image: "shop/web:v9"}), "start.image.notfound", no, "web"},
	}
}

func TestTraps(t *testing.T) {
	t.Parallel()
	for _, traps := range []map[string]trap{codeTraps(), textTraps()} {
		for name, tt := range traps {
			got := cause.ECS().Classify(tt.evidence)
			assert.Equal(t, trap{class: tt.class, expected: tt.expected, container: tt.container},
				trap{class: got.Class, expected: got.Expected, container: got.Container}, "%s: %+v", name, got)
		}
	}
}

// TestStopRequestsBeatAllElse puts the containers of every other row under each stop request.
func TestStopRequestsBeatAllElse(t *testing.T) {
	t.Parallel()
	table := cause.ECS()
	for _, request := range ecsRequestRows() {
		for _, other := range append(ecsStartRows(), ecsEndRows()...) {
			e := request.evidence
			e.Parts, e.FailedAttachment = other.evidence.Parts, other.evidence.FailedAttachment
			got := table.Classify(e)
			assert.Equal(t, request.rule, got.Rule, "%s with the containers of %s", request.name, other.name)
			assert.Equal(t, request.expected, got.Expected)
		}
	}
}

func TestWhoAndWhat(t *testing.T) {
	t.Parallel()
	scaled := task("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/7)")
	for name, tt := range map[string]struct {
		evidence               cause.Evidence
		initiator, who, token  string
		confidence             event.Confidence
		evidenceHas, sayEndsIn string
	}{
		"deployment in the text": {scaled, "scheduler", "ecs-svc/7", "", event.Fact, "the platform said: Scaling activity initiated by (deployment ecs-svc/7)", "fewer tasks"},
		"deployment from elsewhere": {
			with(scaled, func(e *cause.Evidence) { e.Replaced, e.Deployment, e.ReplacedBy = true, "ecs-svc/8", "web:8" }),
			"scheduler", "ecs-svc/8", "", event.Likely, "a task of the same workload with another revision took its place (web:8)", "of its service",
		},
		"user":             {with(task("UserInitiated", "Task stopped by user"), func(e *cause.Evidence) { e.Requester = "alice" }), "user", "alice", "", event.Fact, "stop code UserInitiated", "by alice"},
		"host":             {task("TerminationNotice", "Host EC2 (instance i-0abc) stopped."), "host", "i-0abc", "", event.Fact, "stop code TerminationNotice", "terminated"},
		"host elsewhere":   {with(ended(part("app", 137, "OutOfMemoryError: x")), func(e *cause.Evidence) { e.Host = "i-0def" }), "host", "i-0def", "OutOfMemoryError", event.Fact, "container app: exit code 137 (SIGKILL); OutOfMemoryError: x", "kernel"},
		"health":           {with(task("ServiceSchedulerInitiated", "Task failed container health checks"), func(e *cause.Evidence) { e.Deployment = "ecs-svc/7" }), "scheduler", "", "", event.Fact, "stop code ServiceSchedulerInitiated", "check"},
		"token of EC2":     {pull(pullMissing), "runtime", "", "CannotPullContainerError", event.Fact, "container web: no exit code; " + pullMissing, "registry"},
		"token of Fargate": {fargate(secretGone), "runtime", "", "ResourceInitializationError", event.Fact, "stop code TaskFailedToStart", "read"},
		"two that failed":  {ended(part("a", 1, ""), part("b", 2, "")), "app", "", "", event.Likely, "container b: exit code 2", "container a"},
		"essential is said": {
			ended(must("yn", part("a", 1, ""), part("b", 0, ""))...), "app", "", "", event.Fact,
			"container b (not essential): exit code 0", "container a",
		},
		"Batch": {with(ended(part("a", 1, "")), func(e *cause.Evidence) { e.Task.Scope = "AWSBatch-x" }), "app", "", "", event.Fact, "AWS Batch runs it, and judges and repeats it itself", "code 1"},
	} {
		got := cause.ECS().Classify(tt.evidence)
		assert.Equal(t, []any{tt.initiator, tt.who, tt.token, tt.confidence}, []any{got.Initiator, got.InitiatorName, got.Token, got.Confidence}, name)
		assert.Contains(t, got.Evidence, tt.evidenceHas, name)
		assert.True(t, strings.HasSuffix(got.Say, tt.sayEndsIn), "%s: %s", name, got.Say)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		pullMissing: "CannotPullContainerError", secretGone: "ResourceInitializationError", "InternalError": "InternalError",
		" OutOfMemoryError: x": "OutOfMemoryError", "ResourceNotFoundException: x": "ResourceNotFoundException",
		"Essential container in task exited": "", "Error: x": "", "error x": "", "": "", "CannotPullContainerErrors: x": "",
		"An CannotPullContainerError": "", "CannotPull\xffError: x": "", strings.Repeat("x", 80) + "Error": "",
	} {
		assert.Equal(t, want, cause.Token(reason), reason)
	}
}

func TestMeaning(t *testing.T) {
	t.Parallel()
	for exit, want := range map[int64]string{
		0: "exit code 0", 1: "exit code 1", 126: "exit code 126 (its command can't be executed)", 137: "exit code 137 (SIGKILL)",
		255: "exit code 255 (-1, or the runtime lost the code)", 3221225786: "exit code 3221225786 (0xC000013A, asked to end, like Ctrl+C)",
		-1073741819: "exit code -1073741819 (0xC0000005, access violation)", -1: "exit code -1", 1 << 40: "exit code 1099511627776",
	} {
		assert.Equal(t, want, cause.Meaning(exit))
	}
}

func TestRowsOfAUserOnECS(t *testing.T) {
	t.Parallel()
	e := with(ended(must("ny", part("log", 0, ""), part("app", 7, "LicenceError: no licence free"))...), func(e *cause.Evidence) {
		e.Host, e.Requester, e.Service = "i-0abc", "ci-7", true
	})
	for condition, want := range map[string]bool{
		`stop_code == "EssentialContainerExited" && exit_code == 7`:                            true,
		`any(reasons, # contains "licence") && token == "LicenceError"`:                        true,
		`containers == ["log", "app"] && exit_codes == [0, 7]`:                                 true,
		`stop_reason startsWith "Essential" && host == "i-0abc" && requester == "ci-7"`:        true,
		`service && !requested && !draining && !oom && !start_failed && deployment == ""`:      true,
		`requested || stop_code == "UserInitiated" || error != ""`:                             false,
		`7 in exit_codes && !(0 in exit_codes)`:                                                false,
		`labels["x"] == "" && signal == "" && len(reasons) == 1 && workload == "" && ran == 0`: true,
	} {
		own, err := cause.Rules([]cause.Row{userRow(func(r *cause.Row) {
			r.Runtime, r.When, r.Next = "ecs", condition, "ask the licence team about {reason}"
		})}, event.ECS)
		require.NoError(t, err, condition)
		got := append(own, cause.ECS()...).Classify(e)
		assert.Equal(t, want, strings.HasPrefix(got.Rule, event.UserRule), condition)
		if want {
			assert.Contains(t, got.Next, "ask the licence team")
		}
	}
	for condition, asked := range map[string]cause.Evidence{
		"requested":                             task("UserInitiated", "x"),
		"requested && !oom":                     task("", "Scaling activity initiated by (deployment ecs-svc/1)"),
		"oom && !requested":                     ended(part("app", 137, "OutOfMemoryError: x")),
		`start_failed && error contains "v9"`:   pull(pullMissing),
		`deployment == "ecs-svc/1"`:             task("", "Scaling activity initiated by (deployment ecs-svc/1)"),
		`exit_code == -1 && exit_codes == [-1]`: ended(part("app", nil, "")),
	} {
		own, err := cause.Rules([]cause.Row{userRow(func(r *cause.Row) { r.When = condition })}, event.ECS)
		require.NoError(t, err, condition)
		assert.NotEmpty(t, own.Classify(asked).Rule)
		assert.True(t, strings.HasPrefix(own.Classify(asked).Rule, event.UserRule), condition)
	}
	batch := with(e, func(e *cause.Evidence) { e.Task.Scope = "AWSBatch-x" })
	own, err := cause.Rules([]cause.Row{userRow(func(r *cause.Row) { r.When = "exit_code == 7" })}, event.ECS)
	require.NoError(t, err)
	assert.False(t, append(own, cause.ECS()...).Classify(batch).Expected, "a user's row decides itself")
}

func TestNearOnECS(t *testing.T) {
	t.Parallel()
	_, near := cause.ECS().Explain(ended(part("app", 0, "")))
	assert.Empty(t, near)
	got, near := cause.ECS().Explain(with(task("TerminationNotice", "Host EC2 (instance i-0abc) terminated."), service))
	assert.Equal(t, "host.lost", got.Rule)
	require.Len(t, near, 2)
	assert.Equal(t, cause.Near{Rule: "host.lost.draining", Class: "host.lost", Missing: "its host was being drained or scaled in"}, public(near[1]))
	_, near = cause.ECS().Explain(pull("CannotPullContainerError: it rained"))
	require.NotEmpty(t, near)
	assert.Equal(t, "start.image.notfound", near[0].Rule)
	assert.Equal(t, `the same reason says "not found", "manifest unknown" or "does not exist"`, near[0].Missing)
}

func public(n cause.Near) cause.Near {
	return cause.Near{Rule: n.Rule, Class: n.Class, Missing: n.Missing}
}

func FuzzECS(f *testing.F) {
	for _, tt := range append(append(ecsRequestRows(), ecsStartRows()...), ecsEndRows()...) {
		first := cause.Part{}
		if len(tt.evidence.Parts) > 0 {
			first = tt.evidence.Parts[0]
		}
		f.Add(tt.evidence.StopCode, tt.evidence.StopReason, first.Reason, first.Name, int64(0), byte(3))
	}
	f.Add("\xff", "Host EC2 (instance \xff\x00) terminated", "CannotPull\u202e: {image} {", "{in}", int64(-1<<62), byte(255))
	f.Add("", "", "", "\xd4", int64(0), byte(32))
	f.Fuzz(func(t *testing.T, stopCode, reason, other, name string, exit int64, bits byte) {
		yes := bits&1 != 0
		e := cause.Evidence{
			StopCode: stopCode, StopReason: reason, Draining: bits&2 != 0, Replaced: bits&4 != 0, Service: bits&8 != 0, Unseen: bits&16 != 0,
			Requester: name, Host: name, Deployment: other, FailedAttachment: name, Task: cause.Identity{Image: name, Scope: name},
			Parts: []cause.Part{{Name: name, Image: other, Reason: other, ExitCode: &exit, Essential: &yes}, {Reason: reason}, {Name: other, ExitCode: &exit}},
		}
		if bits&32 != 0 {
			e.Parts = nil
		}
		got, near := cause.ECS().Explain(e)
		if got.Class == "" || got.Rule == "" || got.Say == "" || got.Next == "" || got.Initiator == "" || len(near) > 3 {
			t.Fatalf("an end is lost: %+v", got)
		}
		for _, text := range append([]string{got.Say, got.Token, got.Next, got.InitiatorName, got.Container}, got.Evidence...) {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00\x1b") {
				t.Fatalf("%q is no line", text)
			}
		}
		if again := cause.ECS().Classify(e); again.Rule != got.Rule || again.Say != got.Say {
			t.Fatalf("%q and %q of the same evidence", got.Say, again.Say)
		}
	})
}

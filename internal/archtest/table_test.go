package archtest

// row says which packages of ours a package may import. Paths are below the module; "x/*" is every
// package directly in x, "x/..." is x and all below. The first row that matches a package counts.
type row struct {
	pkg string
	may []string
	why string
}

// importTable is the architecture. A package without a row fails, so that a new one is placed on purpose:
//
//	collectors/x → collectors → schemas/event ← internal/bus ← router → sinks ← sinks/x
//
// Leaves and test support have tables of their own below.
func importTable() []row {
	const event = "schemas/event"
	return []row{
		{event, nil, "the event model depends on nothing, so that everything can depend on it"},
		{"schemas/gen", []string{event}, "the generator reads the types only; package schemas can't be built before its output is there"},
		{"schemas/schematest", []string{"schemas", event}, "it checks events against the contract, nothing else"},
		{"schemas", []string{event}, "the contract describes events and knows no component"},

		{"collectors", []string{event}, "the contract of a collector speaks of events only"},
		{"collectors/collectortest", []string{"collectors", event}, "the suite tests the contract, not one collector"},
		{"collectors/*", []string{"collectors", event, "internal/cause", "internal/awsclient"}, "a collector knows neither the bus nor another collector nor a sink: it publishes through collectors.Publisher"},

		{"router", []string{event, "sinks", "internal/bus", "router/*"}, "the router knows the contract of a sink, never one sink"},
		{"router/notify", []string{event, "sinks"}, "it stands in front of a sink that wakes somebody and knows the contract of a sink, never one sink"},
		{"router/*", []string{event, "internal/bus"}, "what the router is made of looks at events and buckets, not at sinks or at the router"},

		{"sinks", []string{event}, "the contract of a sink speaks of events only"},
		{"sinks/sinktest", []string{"sinks", event}, "the suite tests the contract, not one sink"},
		{"sinks/notice", []string{event}, "it says one event in words, for every sink that people read"},
		{"sinks/*", []string{"sinks", "sinks/notice", event, "internal/awsclient"}, "a sink knows neither the router nor the bus nor another sink: it gets events through Send"},

		{"internal/cause/gen", []string{"internal/cause"}, "the generator reads the tables only"},
		{"internal/cause", []string{event}, "classification is pure: native words in, a cause out"},
		{"internal/bus/bustest", []string{"internal/bus", "internal/natsserver", event}, "it starts a server and a bus, nothing else"},
		{"internal/bus", []string{event, "internal/natsserver"}, "the bus carries events and knows neither end"},
		{"internal/natsserver", nil, "the embedded server carries bytes"},
		{"internal/telemetry", nil, "logs and metrics are handed to components, which never ask for them"},
		{"internal/awsclient", nil, "it makes AWS clients and knows no user of them"},
		{"internal/web", []string{event}, "the page reads interfaces that it declares itself"},
		{"internal/drill", []string{event, "collectors", "collectors/docker"}, "a drill takes the real way in and touches nothing behind it"},
		{"internal/config", []string{
			"schemas", event, "collectors", "collectors/*", "router", "router/*", "sinks", "sinks/*",
			"internal/awsclient", "internal/bus", "internal/cause", "internal/natsserver", "internal/telemetry", "internal/web",
		}, "the config tree holds each component's Config and wires nothing"},
		{"internal/app", []string{
			"schemas", event, "collectors", "collectors/*", "router", "router/*", "sinks", "sinks/*", "internal/*",
		}, "the wiring knows every component, but no command"},
		{"internal/archtest", nil, "it reads source text only"},

		{"cmd/*", []string{"schemas", "internal/app", "internal/config"}, "a command parses flags and calls the wiring"},
		{"e2e/...", []string{"..."}, ""},
	}
}

// leaves may be imported by every package but schemas/event and each other.
func leaves() []string {
	return []string{"internal/backoff", "internal/fault", "internal/metric", "internal/recording", "internal/redact", "internal/secret"}
}

// testSupport is imported by tests and by each other only: it must not end up in the program.
func testSupport() []string {
	return []string{"schemas/schematest", "collectors/collectortest", "sinks/sinktest", "internal/bus/bustest", "e2e/..."}
}

// testExtras is what every _test.go file may import beside its package's own row.
func testExtras() []string { return []string{"internal/natsserver", "schemas", "schemas/event"} }

// library says which packages may import modules whose path starts with prefix. Tests may import any.
type library struct {
	prefix string
	in     []string
	why    string
}

// libraryTable keeps each large dependency in the few packages that are about it.
func libraryTable() []library {
	return []library{
		{"github.com/nats-io/", []string{"internal/bus/...", "internal/natsserver"}, "NATS stays behind internal/bus"},
		{"github.com/aws/", []string{"internal/awsclient", "collectors/ecs", "sinks/sns", "sinks/opensearch", "sinks/restart"}, "only what talks to AWS needs its SDK"},
		{"github.com/moby/", []string{"collectors/docker", "sinks/restart", "internal/drill"}, "only what talks to Docker needs its client"},
		{"github.com/docker/", []string{"collectors/docker", "sinks/restart", "internal/drill"}, "only what talks to Docker needs its client"},
		{"github.com/containerd/containerd", []string{"collectors/containerd", "sinks/restart"}, "only what talks to containerd needs its client"},
		{"github.com/opensearch-project/", []string{"sinks/opensearch"}, "one sink talks to OpenSearch"},
		{"github.com/spf13/", []string{"cmd/*"}, "flags end where the command ends"},
		{"github.com/goccy/go-yaml", []string{"internal/config", "schemas/gen"}, "components get parsed configs"},
		{"github.com/stretchr/", nil, "assertions belong to tests"},
		{"github.com/google/go-cmp", nil, "comparisons for tests belong to tests"},
		{"go.uber.org/goleak", nil, "leak checks belong to tests"},
	}
}

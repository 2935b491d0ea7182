package config

import (
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/collectors/ecs"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/router/incident"
	"github.com/bellbuoy/bellbuoy/router/silence"
	"github.com/bellbuoy/bellbuoy/sinks/console"
	"github.com/bellbuoy/bellbuoy/sinks/opensearch"
	"github.com/bellbuoy/bellbuoy/sinks/restart"
	"github.com/bellbuoy/bellbuoy/sinks/sns"
	"github.com/bellbuoy/bellbuoy/sinks/webhook"
)

// Config is the whole configuration.
type Config struct {
	// Version is the version of this format: 1.
	Version int `yaml:"version"`
	// Site names the environment, such as prod-eu.
	Site string `yaml:"site"`
	// Node names this host; default is the host's own name.
	Node string `yaml:"node"`
	// DataDir holds the embedded stream.
	DataDir string           `yaml:"data_dir"`
	HTTP    HTTP             `yaml:"http"`
	NATS    NATS             `yaml:"nats"`
	AWS     awsclient.Config `yaml:"aws"`
	// Collectors is empty for the local sockets that answer.
	Collectors []Collector     `yaml:"collectors"`
	Sinks      map[string]Sink `yaml:"sinks"`
	// Routes are tried in order; a sink that no route names gets its kind's default route.
	Routes []Route `yaml:"routes"`
	// Incidents say when a problem is one, and when it is over.
	Incidents incident.Config `yaml:"incidents"`
	// Notices bound how often a sink tells of problems.
	Notices Notices `yaml:"notices"`
	// Silences hold notices of incidents back for a time.
	Silences []silence.Silence `yaml:"silences"`
	// Cause are rows in front of the tables that say why a task stopped.
	Cause []cause.Row `yaml:"cause"`
}

// Notices are what a sink that wakes somebody is told.
type Notices struct {
	// PerMinute is how many problems a minute one sink is told of, after as many at once; the rest is told by digests.
	// 0 does not bound it.
	PerMinute int `yaml:"per_minute"`
}

// HTTP is the listener for health, metrics and the page.
type HTTP struct {
	// Listen is host:port, or "off".
	Listen string `yaml:"listen"`
}

// NATS says where the streams are.
type NATS struct {
	// URL is a NATS server of yours; empty means the embedded one.
	URL string `yaml:"url"`
	// Creds is a credentials file, NKey a seed file.
	Creds string `yaml:"creds"`
	NKey  string `yaml:"nkey"`
	TLS   TLS    `yaml:"tls"`
	// Manage is auto, check or off: who creates streams and buckets.
	Manage   string   `yaml:"manage"`
	Replicas int      `yaml:"replicas"`
	Embedded Embedded `yaml:"embedded"`
}

// TLS names certificate files.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Embedded is the server within this process.
type Embedded struct {
	// Listen is the loopback address for automation, or "off".
	Listen string `yaml:"listen"`
	// Durability is strict (an acked event survives a power cut) or relaxed.
	Durability string `yaml:"durability"`
}

// Collector is one entry of collectors: exactly one kind.
type Collector struct {
	Docker     *docker.Config     `yaml:"docker"`
	Containerd *containerd.Config `yaml:"containerd"`
	ECS        *ecs.Config        `yaml:"ecs"`
}

// Sink is one entry of sinks: exactly one kind.
type Sink struct {
	SNS        *sns.Config        `yaml:"sns"`
	OpenSearch *opensearch.Config `yaml:"opensearch"`
	Restart    *restart.Config    `yaml:"restart"`
	Webhook    *webhook.Config    `yaml:"webhook"`
	Console    *console.Config    `yaml:"console"`
}

// Kind returns the kind's key, or "" if none or several are set.
func (s Sink) Kind() string { return onlyKey(reflect.ValueOf(s)) }

// Kind returns the kind's key, or "" if none or several are set.
func (c Collector) Kind() string { return onlyKey(reflect.ValueOf(c)) }

func onlyKey(v reflect.Value) string {
	key := ""
	for k, i := range fieldsOf(v.Type()) {
		switch {
		case v.Field(i).IsNil():
		case key != "":
			return ""
		default:
			key = k
		}
	}
	return key
}

// Route is one rule.
type Route struct {
	Name string `yaml:"name"`
	// To is the name of a sink.
	To string `yaml:"to"`
	// When is a condition; empty takes every event.
	When string `yaml:"when"`
	// After makes it the next in line for incidents: it gets one that is open for so long, and what follows of it.
	After time.Duration `yaml:"after"`
}

// IncidentsRoute is the name of the route that is Bellbuoy's own.
const IncidentsRoute = "incidents"

// Default returns the config that holds where no file says otherwise.
func Default() Config {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	return Config{
		Version: 1, Site: "local", Node: host, DataDir: defaultDataDir(),
		HTTP:      HTTP{Listen: "127.0.0.1:8377"},
		Incidents: incident.DefaultConfig(), Notices: Notices{PerMinute: 30},
		NATS: NATS{Manage: "auto", Replicas: 1, Embedded: Embedded{Listen: "127.0.0.1:4222", Durability: "strict"}},
	}
}

func defaultDataDir() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "bellbuoy")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "bellbuoy")
	}
	return filepath.Join(os.TempDir(), "bellbuoy")
}

// componentDefault returns the defaults of a component's Config type.
func componentDefault(t reflect.Type) (reflect.Value, bool) {
	switch t {
	case reflect.TypeFor[docker.Config]():
		return reflect.ValueOf(docker.DefaultConfig()), true
	case reflect.TypeFor[containerd.Config]():
		return reflect.ValueOf(containerd.DefaultConfig()), true
	case reflect.TypeFor[ecs.Config]():
		return reflect.ValueOf(ecs.DefaultConfig()), true
	case reflect.TypeFor[sns.Config]():
		return reflect.ValueOf(sns.DefaultConfig()), true
	case reflect.TypeFor[opensearch.Config]():
		return reflect.ValueOf(opensearch.DefaultConfig()), true
	case reflect.TypeFor[restart.Config]():
		return reflect.ValueOf(restart.DefaultConfig()), true
	case reflect.TypeFor[webhook.Config]():
		return reflect.ValueOf(webhook.DefaultConfig()), true
	case reflect.TypeFor[console.Config]():
		return reflect.ValueOf(console.DefaultConfig()), true
	case reflect.TypeFor[incident.Expect]():
		return reflect.ValueOf(incident.DefaultExpect()), true
	case reflect.TypeFor[cause.Row]():
		return reflect.ValueOf(cause.DefaultRow()), true
	}
	return reflect.Value{}, false
}

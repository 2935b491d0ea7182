package docker

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// Config says which daemon is watched and how.
type Config struct {
	// Host is the daemon's address: unix:///path, tcp://host:port or npipe://.
	Host string `yaml:"host"`
	TLS  TLS    `yaml:"tls"`
	Logs Logs   `yaml:"logs"`
	// SnapshotEvery is how often all containers are looked at, to find what the stream lost.
	SnapshotEvery time.Duration `yaml:"snapshot_every"`
}

// TLS names the PEM files for a tcp host that asks for them; empty is plain TCP.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Logs bounds the log tail of an unexpected stop. The label bellbuoy.logs overrides Lines.
type Logs struct {
	// Lines is how many lines are read; 0 is none.
	Lines int `yaml:"lines"`
	// Bytes bounds all lines together.
	Bytes int `yaml:"bytes"`
}

const (
	maxLogLines = 200
	maxLogBytes = 32 << 10
)

// DefaultConfig returns the local daemon, watched with a log tail of 20 lines.
func DefaultConfig() Config {
	return Config{
		Host: "unix:///var/run/docker.sock", SnapshotEvery: time.Minute,
		Logs: Logs{Lines: 20, Bytes: 8 << 10},
	}
}

// Validate returns every fault of the config.
func (c *Config) Validate() error {
	faults := []error{c.checkHost(), c.checkTLS()}
	if c.Logs.Lines < 0 || c.Logs.Lines > maxLogLines {
		faults = append(faults, fault.At("logs.lines", "%d lines; use 0 (no log) to %d", c.Logs.Lines, maxLogLines))
	}
	if c.Logs.Bytes < 0 || c.Logs.Bytes > maxLogBytes {
		faults = append(faults, fault.At("logs.bytes", "%d bytes; use 0 to %d", c.Logs.Bytes, maxLogBytes))
	}
	if c.SnapshotEvery < time.Second || c.SnapshotEvery > time.Hour {
		faults = append(faults, fault.At("snapshot_every", "%s is out of range; use 1s to 1h", c.SnapshotEvery))
	}
	return errors.Join(faults...)
}

// Warnings returns what is not wrong but unwise.
func (c *Config) Warnings() []string {
	u, err := url.Parse(c.Host)
	if err != nil || c.TLS != (TLS{}) || u.Scheme != "tcp" && u.Scheme != "http" {
		return nil
	}
	if name := u.Hostname(); name == "localhost" || net.ParseIP(name).IsLoopback() {
		return nil
	}
	return []string{"host: " + c.Host + " is reached without TLS: whoever can reach it, too, is root on that host; let the daemon listen with --tlsverify and set tls"}
}

func (c *Config) checkHost() error {
	scheme, rest, found := strings.Cut(c.Host, "://")
	if !found || rest == "" {
		return fault.At("host", "%q is no address of a daemon; use unix:///path/docker.sock or tcp://host:port", c.Host)
	}
	switch scheme {
	case "unix", "npipe":
		return nil
	case "tcp", "http", "https":
		u, err := url.Parse(c.Host)
		if err != nil || u.Hostname() == "" {
			return fault.At("host", "not a valid %s address; use %s://host:port", scheme, scheme)
		}
		if u.User != nil {
			return fault.At("host", "Docker knows no user or password in its address; remove them and use tls")
		}
		return nil
	case "ssh":
		return fault.At("host", "ssh is not supported; run a collector on that host")
	}
	return fault.At("host", "scheme %q is unknown; use unix, tcp or npipe", scheme)
}

func (c *Config) checkTLS() error {
	if c.TLS == (TLS{}) {
		return nil
	}
	var faults []error
	if strings.HasPrefix(c.Host, "unix://") || strings.HasPrefix(c.Host, "npipe://") {
		faults = append(faults, fault.At("tls", "a local socket has no TLS; remove tls or use a tcp host"))
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		faults = append(faults, fault.At("tls", "cert and key go together; set both or none"))
	}
	return errors.Join(faults...)
}

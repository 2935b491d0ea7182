package restart

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// Mode says how far the handler goes.
type Mode string

// The modes.
const (
	// Off accepts every event and does nothing.
	Off Mode = "off"
	// DryRun decides and publishes what it would have done.
	DryRun Mode = "dry-run"
	// Act acts.
	Act Mode = "act"
)

// Config is what a user sets.
type Config struct {
	// Mode is off, dry-run or act.
	Mode Mode `yaml:"mode"`
	// Budget is how many actions a workload may have in which time; the label bellbuoy.restart.budget
	// of a task overrides it.
	Budget Budget `yaml:"budget"`
	// StableAfter is how long a run must have lived for the actions before it not to count any more.
	StableAfter time.Duration `yaml:"stable_after"`
	// Backoff is the distance of the second action from the stop, doubling up to its limit. The first
	// action does not wait.
	Backoff Backoff `yaml:"backoff"`
	// VerifyAfter is how long the new run must live to count as a success.
	VerifyAfter time.Duration `yaml:"verify_after"`
	// MaxAge is how old an event may be; what happened before is left as it is.
	MaxAge time.Duration `yaml:"max_age"`
	// Docker and Containerd are the daemons that run the tasks of this node.
	Docker     Docker     `yaml:"docker"`
	Containerd Containerd `yaml:"containerd"`
	// ECS says what more may be done there than to stop hung tasks of services.
	ECS ECS `yaml:"ecs"`
}

// Backoff bounds the delays between actions.
type Backoff struct {
	First time.Duration `yaml:"first"`
	Limit time.Duration `yaml:"limit"`
}

// Docker says where the daemon is.
type Docker struct {
	// Host is its address, such as unix:///var/run/docker.sock.
	Host string `yaml:"host"`
	TLS  TLS    `yaml:"tls"`
}

// TLS names the PEM files for a tcp host that asks for them; empty is plain TCP.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Containerd says where containerd is.
type Containerd struct {
	// Address is the path of its socket.
	Address string `yaml:"address"`
}

// DefaultConfig returns the config of a handler that only says what it would do.
func DefaultConfig() Config {
	return Config{
		Mode: DryRun, Budget: Budget{Actions: 4, Window: 10 * time.Minute}, StableAfter: 5 * time.Minute,
		Backoff: Backoff{First: time.Second, Limit: time.Minute}, VerifyAfter: 10 * time.Second, MaxAge: 10 * time.Minute,
		Docker: Docker{Host: "unix:///var/run/docker.sock"}, Containerd: Containerd{Address: "/run/containerd/containerd.sock"},
	}
}

// Validate returns all faults.
func (c Config) Validate() error {
	var faults []error
	if c.Mode != Off && c.Mode != DryRun && c.Mode != Act {
		faults = append(faults, fault.At("mode", "is %.40q; write off, dry-run or act", string(c.Mode)))
	}
	if err := c.Budget.check(); err != nil {
		faults = append(faults, fault.At("budget", "%v", err))
	}
	between := func(path string, d, low, high time.Duration) {
		if d < low || d > high {
			faults = append(faults, fault.At(path, "is %s; write a duration from %s to %s", d, low, high))
		}
	}
	between("stable_after", c.StableAfter, time.Second, 24*time.Hour)
	between("backoff.first", c.Backoff.First, 100*time.Millisecond, time.Hour)
	between("backoff.limit", c.Backoff.Limit, 100*time.Millisecond, time.Hour)
	if c.Backoff.First > c.Backoff.Limit {
		faults = append(faults, fault.At("backoff.first", "is %s, longer than backoff.limit", c.Backoff.First))
	}
	between("verify_after", c.VerifyAfter, time.Second, verifyTimeout)
	between("max_age", c.MaxAge, time.Minute, 24*time.Hour)
	if u, err := url.Parse(c.Docker.Host); err != nil || u.Scheme == "" {
		faults = append(faults, fault.At("docker.host", "is not an address such as unix:///var/run/docker.sock"))
	}
	if (c.Docker.TLS.Cert == "") != (c.Docker.TLS.Key == "") {
		faults = append(faults, fault.At("docker.tls", "cert and key go together; set both or none"))
	}
	if !filepath.IsAbs(strings.TrimPrefix(c.Containerd.Address, "unix://")) {
		faults = append(faults, fault.At("containerd.address", "is not the path of a socket such as /run/containerd/containerd.sock"))
	}
	return errors.Join(append(faults, c.ECS.faults()...)...)
}

// Budget is a number of actions in a sliding window, written as 4/10m.
type Budget struct {
	Actions int64
	Window  time.Duration
}

const (
	maxActions = 100
	maxWindow  = 24 * time.Hour
)

// ParseBudget reads a budget such as 4/10m.
func ParseBudget(text string) (Budget, error) {
	actions, window, ok := strings.Cut(text, "/")
	n, errN := strconv.ParseInt(strings.TrimSpace(actions), 10, 64)
	d, errD := time.ParseDuration(strings.TrimSpace(window))
	if !ok || errN != nil || errD != nil {
		return Budget{}, fmt.Errorf("is %.40q; write a number of actions and a time, such as 4/10m", text)
	}
	b := Budget{Actions: n, Window: d}
	return b, b.check()
}

func (b Budget) check() error {
	if b.Actions < 1 || b.Actions > maxActions || b.Window < time.Second || b.Window > maxWindow {
		return fmt.Errorf("is %s; write 1 to %d actions in 1s to %s, such as 4/10m", b, maxActions, shortDuration(maxWindow))
	}
	return nil
}

// String writes the budget as it is read.
func (b Budget) String() string {
	return strconv.FormatInt(b.Actions, 10) + "/" + shortDuration(b.Window)
}

// MarshalText writes the budget as it is read.
func (b Budget) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads a budget such as 4/10m.
func (b *Budget) UnmarshalText(text []byte) error {
	parsed, err := ParseBudget(string(text))
	if err != nil {
		return err
	}
	*b = parsed
	return nil
}

// shortDuration writes 10m in place of 10m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

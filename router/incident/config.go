package incident

import (
	"errors"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// Config is when a problem is one, and when it is over.
type Config struct {
	// Wait is how long a stop of a workload of which other tasks run waits for a replacement before it opens an
	// incident; 0 opens at once, as for a workload of one task.
	Wait time.Duration `yaml:"wait"`
	// Stable is how long a workload must be well before its incident is resolved. Each flap makes it four times as long, up to an hour.
	Stable time.Duration `yaml:"stable"`
	// Loop says what a crash loop is.
	Loop Loop `yaml:"crash_loop"`
	// Unhealthy, Missing, Silent and Gap are for how long a task may be unhealthy, a service may have fewer tasks than
	// it wants, a collector may send no heartbeat (it sends one a minute) and may be blind.
	Unhealthy time.Duration `yaml:"unhealthy"`
	Missing   time.Duration `yaml:"missing"`
	Silent    time.Duration `yaml:"silent"`
	Gap       time.Duration `yaml:"gap"`
	// Flap is for how long after its end an incident is opened again rather than a new one.
	Flap time.Duration `yaml:"flap"`
	// Remind is after how long an open incident is told again; each further time takes twice as long, up to RemindLimit.
	// 0 never reminds.
	Remind      time.Duration `yaml:"remind"`
	RemindLimit time.Duration `yaml:"remind_limit"`
	// Forget is after how long without any news an open incident is closed.
	Forget time.Duration `yaml:"forget"`
	// Expect lists workloads that must run, or that must have run well within a time.
	Expect []Expect `yaml:"expect"`
}

// Loop is as many unexpected stops of one workload within a time.
type Loop struct {
	Stops  int           `yaml:"stops"`
	Within time.Duration `yaml:"within"`
}

// Expect is a workload that must be there. An empty Scope or Runtime is any.
type Expect struct {
	Workload string `yaml:"workload"`
	Scope    string `yaml:"scope"`
	Runtime  string `yaml:"runtime"`
	// Tasks is how many must run; default 1.
	Tasks int `yaml:"tasks"`
	// For is for how long fewer may run; default 5m.
	For time.Duration `yaml:"for"`
	// Every makes it a job: it must have ended well within this time.
	Every time.Duration `yaml:"every"`
	// Owner is who is told, as the label bellbuoy.owner would say.
	Owner string `yaml:"owner"`
}

// DefaultConfig returns the config that holds where none is written.
func DefaultConfig() Config {
	return Config{
		Wait: 20 * time.Second, Stable: 2 * time.Minute, Loop: Loop{Stops: 3, Within: 10 * time.Minute},
		Unhealthy: time.Minute, Missing: 5 * time.Minute, Silent: 3 * time.Minute, Gap: 5 * time.Minute,
		Flap: 30 * time.Minute, Remind: 4 * time.Hour, RemindLimit: 24 * time.Hour, Forget: 7 * 24 * time.Hour,
	}
}

// DefaultExpect returns what an entry of expect says of itself.
func DefaultExpect() Expect { return Expect{Tasks: 1, For: 5 * time.Minute} }

// Validate returns all faults.
func (c Config) Validate() error {
	var faults []error
	between := func(path string, d, low, high time.Duration) {
		if d < low || d > high {
			faults = append(faults, fault.At(path, "is %s; write %s to %s", d, low, high))
		}
	}
	const day = 24 * time.Hour
	between("wait", c.Wait, 0, time.Hour)
	between("stable", c.Stable, time.Second, day)
	between("crash_loop.within", c.Loop.Within, time.Second, day)
	if c.Loop.Stops < 2 || c.Loop.Stops > maxStops {
		faults = append(faults, fault.At("crash_loop.stops", "is %d; write 2 to %d", c.Loop.Stops, maxStops))
	}
	between("unhealthy", c.Unhealthy, 0, day)
	between("missing", c.Missing, 0, day)
	between("silent", c.Silent, 2*time.Second, day)
	between("gap", c.Gap, 0, day)
	between("flap", c.Flap, 0, 7*day)
	if c.Remind != 0 {
		between("remind", c.Remind, time.Minute, 7*day)
		between("remind_limit", c.RemindLimit, c.Remind, 30*day)
	}
	between("forget", c.Forget, time.Hour, 90*day)
	return errors.Join(faults...)
}

// Validate returns all faults.
func (x Expect) Validate() error {
	var faults []error
	if x.Workload == "" {
		faults = append(faults, fault.At("workload", "is missing; write the name of the workload that must run"))
	}
	if x.Tasks < 1 || x.Tasks > maxTasks {
		faults = append(faults, fault.At("tasks", "is %d; write 1 to %d", x.Tasks, maxTasks))
	}
	if x.For < 0 || x.Every < 0 {
		faults = append(faults, fault.At("", "a time can't be negative"))
	}
	return errors.Join(faults...)
}

package incident

import "github.com/bellbuoy/bellbuoy/schemas/event"

// Opens returns the incident that an event would open of a workload of which nothing else is known and that is
// given no time for a replacement, or nil.
func Opens(cfg Config, e *event.Event) *event.Event {
	cfg.Wait, cfg.Expect = 0, nil
	m := NewMachine(cfg, e.Data.Site, nil)
	m.Apply(e, 1, e.Time)
	for _, told := range m.Events() {
		if told.Type == event.IncidentOpened {
			return &told
		}
	}
	return nil
}

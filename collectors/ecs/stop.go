package ecs

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// stopped makes of a record that proves a stop the event that tells it. If the stop was told before and
// nothing is different now, it is an update; if its own event was told before this try, what is different
// comes as one of its own.
func (m *machine) stopped(ctx context.Context, e *entry, s *step, ev *event.Event, f *fact, spoken bool) error {
	r := &s.next
	from := stoppingSince(ev)
	age := fresh // it is looked at again before the stop is settled
	if r.Stop != nil {
		age = 0
	}
	j, err := m.join(ctx, r, from.UnixMilli(), age, f.task)
	if err != nil {
		return err
	}
	if err := m.complete(ctx, e, r, ev, &j); err != nil {
		return err
	}
	first := r.Stop
	told := stop{ID: ev.ID, Version: f.task.Version}
	if first != nil {
		told = *first
	}
	told.Vanished = false
	told.Knew, told.Deployment = told.Knew || j.definition != nil, j.deployment
	told.Attachment = cmp.Or(failedAttachment(f.task), told.Attachment)
	told.From, told.At = from.UnixMilli(), ev.Time.UnixMilli()
	r.Stop, r.State = &told, event.StateStopped
	near := m.judge(r, ev, &j)
	told.Verdict = verdictOf(&ev.Data)
	switch {
	case first == nil:
		s.claim = true
		s.add(*ev, near)
	case first.Verdict == told.Verdict:
		update := *ev
		update.Type, update.Data.Cause = event.TaskUpdated, nil
		update.Data.Message = title(&ev.Data) + " is " + strings.ToLower(f.task.LastStatus) + "; its stop was told"
		update.Severity = event.SeverityOf(&update)
		if !spoken {
			s.add(update, nil)
		}
	default:
		ev.Data.Supersedes = first.ID
		if spoken {
			ev.ID = told.Verdict.id(first.ID)
		}
		s.add(*ev, near)
	}
	s.body, err = bodyFor(ev)
	return err
}

// judge sets the cause of a stop, and what follows from it.
func (m *machine) judge(r *saved, ev *event.Event, j *joined) []cause.Near {
	evidence := evidence(r, &ev.Data, j)
	var near []cause.Near
	var c event.Cause
	if m.near {
		c, near = m.table.Explain(evidence)
	} else {
		c = m.table.Classify(evidence)
	}
	ev.Type, ev.Data.Cause = event.TaskStopped, &c
	ev.Data.Message = cause.Sentence(title(&ev.Data), c)
	ev.Severity = event.SeverityOf(ev)
	return near
}

// complete adds what was joined to the event of a stop.
func (m *machine) complete(ctx context.Context, e *entry, r *saved, ev *event.Event, j *joined) error {
	t := ev.Data.Task
	if r.State != event.StateStopped {
		t.PreviousState = r.State
	}
	t.State, t.DesiredState = event.StateStopped, event.StateStopped
	for i := range t.Containers {
		if c := &t.Containers[i]; c.ExitCode != nil {
			c.Signal = cmp.Or(c.Signal, cause.SignalOf(*c.ExitCode))
		}
	}
	if j.definition == nil && r.Stop != nil && r.Stop.Knew {
		if err := m.remember(ctx, e, ev); err != nil {
			return err
		}
	}
	suspects(t.Containers, j.definition)
	ev.Data.Changed = j.changed
	if t.Log == nil {
		t.Log = logOf(t, j.definition)
	}
	if j.service != nil {
		ev.Data.Labels = withTags(ev.Data.Labels, j.service.Tags)
	}
	if j.definition != nil {
		ev.Data.Labels = withTags(ev.Data.Labels, j.definition.Tags)
	}
	ev.Data.Owner = cmp.Or(ev.Data.Owner, redact.Text(ev.Data.Labels[collectors.LabelOwner]))
	return nil
}

// remember takes from the event that was told before what AWS does not answer now.
func (m *machine) remember(ctx context.Context, e *entry, ev *event.Event) error {
	body, ok, err := m.bodyOf(ctx, e)
	if err != nil || !ok || len(body) == 0 {
		return err // if another was first, the save fails, too
	}
	old, err := event.Decode(body)
	if err != nil {
		return fmt.Errorf("decode what was told of %s: %w", e.key, err)
	}
	essential := map[string]*bool{}
	for _, c := range old.Data.Task.Containers {
		essential[c.Name] = c.Essential
	}
	for i := range ev.Data.Task.Containers {
		c := &ev.Data.Task.Containers[i]
		c.Essential = cmp.Or(c.Essential, essential[c.Name])
	}
	ev.Data.Task.Log = old.Data.Task.Log
	ev.Data.Labels = withTags(ev.Data.Labels, old.Data.Labels)
	return nil
}

// logOf says where the log of the container is that comes first.
func logOf(t *event.Task, d *definition) *event.Log {
	if d == nil || len(t.Containers) == 0 {
		return nil
	}
	at := d.find(t.Containers[0].Name)
	if at < 0 || d.Containers[at].LogGroup == "" {
		return nil
	}
	c := &d.Containers[at]
	where := "in CloudWatch Logs: group " + redact.Text(c.LogGroup)
	if c.LogPrefix != "" {
		where += ", stream " + redact.Text(c.LogPrefix) + "/" + c.Name + "/" + t.ID
	}
	return &event.Log{None: where}
}

// withTags returns labels together with tags of AWS. Ours may be written with a colon there.
func withTags(labels, tags map[string]string) map[string]string {
	if len(tags) == 0 {
		return labels
	}
	all := make(map[string]string, len(labels)+len(tags))
	for name, value := range redact.Labels(tags) {
		if rest, ours := strings.CutPrefix(name, "bellbuoy:"); ours {
			name = "bellbuoy." + rest
		}
		all[name] = value
	}
	maps.Copy(all, labels)
	return all
}

// title is the task's name for sentences.
func title(d *event.Data) string {
	name := cmp.Or(d.Workload, d.Task.Name)
	if name == "" {
		return collectors.Short(d.Task.ID)
	}
	return name + "/" + collectors.Short(d.Task.ID)
}

// bodyFor returns what is kept of an event beside the record: all but the native record, and of one that is
// settled also that.
func bodyFor(ev *event.Event) ([]byte, error) {
	kept := *ev
	kept.Recorded, kept.Sequence, kept.Data.Native = time.Time{}, "", nil
	body, err := event.Append(nil, &kept)
	if err != nil {
		return nil, fmt.Errorf("encode event of %s: %w", ev.Subject, err)
	}
	return body, nil
}

// claim saves the intention to tell the first stop, tells it and notes that.
func (m *machine) claim(ctx context.Context, e *entry, s *step, tell teller) (bool, error) {
	if won, err := m.save(ctx, e, s.next, s.body); err != nil || !won {
		return false, err
	}
	if err := tell(ctx, s.outs[0]); err != nil {
		return false, err
	}
	return m.settle(ctx, e, s.outs[0].event, tell)
}

// finish tells a stop that was claimed and perhaps not told: its machine has ended, or is about to tell it.
func (m *machine) finish(ctx context.Context, e *entry, tell teller) (bool, error) {
	body, ok, err := m.bodyOf(ctx, e)
	if err != nil || !ok {
		return false, err
	}
	ev, err := event.Decode(body)
	if err != nil {
		return false, fmt.Errorf("decode what was claimed of %s: %w", e.key, err)
	}
	if err := tell(ctx, out{event: ev}); err != nil {
		return false, err
	}
	return m.settle(ctx, e, ev, tell)
}

// settle notes that the stream has acknowledged the first stop, ev. What another machine has noted between the
// judgement and the claim could not be seen in the one, and whoever noted it could not see the other.
func (m *machine) settle(ctx context.Context, e *entry, ev event.Event, tell teller) (bool, error) {
	next := e.saved
	done := *next.Stop
	done.Settled = true
	next.Stop = &done
	return m.judgeAgain(ctx, e, next, ev, tell)
}

// reconsider judges a stop again that was told. r is the record to save.
func (m *machine) reconsider(ctx context.Context, e *entry, r saved, tell teller) (bool, error) {
	if r.Stop == nil {
		return m.save(ctx, e, r, nil)
	}
	body, ok, err := m.bodyOf(ctx, e)
	if err != nil || !ok {
		return false, err
	}
	ev, err := event.Decode(body)
	if err != nil {
		return false, fmt.Errorf("decode what was told of %s: %w", e.key, err)
	}
	return m.judgeAgain(ctx, e, r, ev, tell)
}

// judgeAgain judges a stop by what is known now, tells it if the verdict is another, and saves it. ev is what
// was told last.
func (m *machine) judgeAgain(ctx context.Context, e *entry, r saved, ev event.Event, tell teller) (bool, error) {
	j, err := m.join(ctx, &r, r.Stop.From, 0, nil)
	if err != nil {
		return false, err
	}
	near := m.judge(&r, &ev, &j)
	told := *r.Stop
	told.Verdict, told.Deployment = verdictOf(&ev.Data), j.deployment
	if told != *r.Stop {
		changed := told.Verdict != r.Stop.Verdict
		r.Stop = &told
		if changed {
			ev.ID, ev.Data.Supersedes, ev.Recorded, ev.Data.Native = told.Verdict.id(told.ID), told.ID, time.Time{}, nil
			if err := tell(ctx, out{event: ev, near: near}); err != nil {
				return false, err
			}
		}
	}
	if r == e.saved {
		return true, nil
	}
	body, err := bodyFor(&ev)
	if err != nil {
		return false, err
	}
	return m.save(ctx, e, r, body)
}

// weigh looks again at the stops of a cluster, or of all of them, that match.
func (m *machine) weigh(ctx context.Context, cluster string, match func(*saved) bool, tell teller) error {
	var keys []string
	oldest := time.Now().Add(-weighBack).UnixMilli()
	within := "t.>"
	if cluster != "" {
		within = tasksOf(cluster)
	}
	err := m.store.Each(ctx, within, func(key string, value []byte, _ uint64) error {
		r, _, err := readRecord(value)
		if err != nil {
			return nil //nolint:nilerr // load tells of what can't be read
		}
		if r.Stop != nil && r.Saved*1000 >= oldest && match(&r) {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the tasks of a cluster: %w", err)
	}
	for _, key := range keys {
		err := m.change(ctx, key, tell, func(ctx context.Context, e *entry) (bool, error) {
			return m.reconsider(ctx, e, e.saved, tell)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// weighBack is how long ago a stop may have been told for evidence to matter that comes only now.
const weighBack = time.Hour

package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Drift is one field of a stream or bucket that is not as it must be and that Setup does not change.
type Drift struct {
	// Asset is the stream's name; a bucket's begins with KV_.
	Asset string
	// Field is the name in the server's own configuration; empty if the asset is missing.
	Field      string
	Have, Want string
}

func (d Drift) String() string {
	if d.Field == "" {
		return d.Asset + " is " + d.Have
	}
	return fmt.Sprintf("%s: %s is %s, must be %s", d.Asset, d.Field, d.Have, d.Want)
}

// DriftError lists everything that Setup refused to change.
type DriftError struct{ Drifts []Drift }

func (e *DriftError) Error() string {
	lines := make([]string, len(e.Drifts))
	for i, d := range e.Drifts {
		lines[i] = d.String()
	}
	return "streams on the NATS server differ from what is needed and are left as they are (change them there, or set nats.manage: off): " +
		strings.Join(lines, "; ")
}

const (
	codeNoStorage = 10047
	// smallestStream is where halving a reservation that does not fit ends.
	smallestStream = 16 * mib
)

// Setup makes every stream and bucket that is missing and brings what exists up to what is needed, as far
// as that can lose nothing; the rest comes back as a *DriftError after all was looked at. A second Setup
// changes nothing.
func (b *Bus) Setup(ctx context.Context) error {
	if b.o.Manage == Off {
		return nil
	}
	wanted := assets(b.o.Replicas)
	if b.o.Server != nil && b.o.URL == "" {
		fit(wanted, b.o.Server.MaxStore())
	}
	drift := &DriftError{}
	for _, want := range wanted {
		found, err := b.setup(ctx, want)
		if err != nil {
			return fmt.Errorf("set up %s on %s: %w", want.Name, b.where, errors.Join(err, b.refused()))
		}
		drift.Drifts = append(drift.Drifts, found...)
	}
	if len(drift.Drifts) > 0 {
		return drift
	}
	return nil
}

func (b *Bus) setup(ctx context.Context, want jetstream.StreamConfig) ([]Drift, error) {
	s, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if b.o.Manage == Check {
			return []Drift{{Asset: want.Name, Have: "missing"}}, nil
		}
		return nil, b.create(ctx, want)
	}
	if err != nil {
		return nil, err
	}
	have := s.CachedInfo().Config
	next, safe, refused := compare(have, want, b.o.Replicas > 0)
	if len(safe) == 0 {
		return refused, nil
	}
	if b.o.Manage == Check {
		return append(safe, refused...), nil
	}
	if _, err := b.js.UpdateStream(ctx, next); err != nil {
		return nil, err
	}
	for _, d := range safe {
		b.o.Logger.Info("stream updated", "stream", d.Asset, "field", d.Field, "from", d.Have, "to", d.Want)
	}
	return refused, nil
}

// create makes the stream; where its reservation does not fit the server's storage, with a smaller one.
func (b *Bus) create(ctx context.Context, want jetstream.StreamConfig) error {
	for {
		_, err := b.js.CreateStream(ctx, want)
		if apiCode(err) != codeNoStorage || want.MaxBytes/2 < smallestStream {
			return err
		}
		want.MaxBytes /= 2
		b.o.Logger.Warn("server has too little storage, taking less", "stream", want.Name, "max_bytes", want.MaxBytes)
	}
}

// compare returns the configuration to update to, what differs and can be updated without a loss, and what
// differs and stays. A limit is a minimum: what an operator raised is kept. The size in bytes is chosen once,
// from the disk as it was then.
func compare(have, want jetstream.StreamConfig, replicas bool) (next jetstream.StreamConfig, safe, refused []Drift) {
	next = have
	missing := slices.DeleteFunc(slices.Clone(want.Subjects), func(s string) bool { return slices.Contains(have.Subjects, s) })
	if len(missing) > 0 {
		next.Subjects = append(slices.Clone(have.Subjects), missing...)
		safe = append(safe, Drift{have.Name, "subjects", fmt.Sprint(have.Subjects), fmt.Sprint(next.Subjects)})
	}
	raise := func(field string, have, want int64, set func(int64)) {
		if have > 0 && (want <= 0 || have < want) {
			set(want)
			safe = append(safe, Drift{next.Name, field, fmt.Sprint(have), fmt.Sprint(want)})
		}
	}
	raise("max_age", int64(have.MaxAge), int64(want.MaxAge), func(v int64) { next.MaxAge = time.Duration(v) })
	raise("max_msg_size", int64(have.MaxMsgSize), int64(want.MaxMsgSize), func(v int64) { next.MaxMsgSize = int32(v) })
	raise("duplicate_window", int64(have.Duplicates), int64(want.Duplicates), func(v int64) { next.Duplicates = time.Duration(v) })
	allow := func(field string, have, want bool, target *bool) {
		if want && !have {
			*target = true
			safe = append(safe, Drift{next.Name, field, "false", "true"})
		}
	}
	allow("allow_direct", have.AllowDirect, want.AllowDirect, &next.AllowDirect)
	allow("allow_atomic", have.AllowAtomicPublish, want.AllowAtomicPublish, &next.AllowAtomicPublish)
	allow("allow_batched", have.AllowBatchPublish, want.AllowBatchPublish, &next.AllowBatchPublish)
	return next, safe, refusals(have, want, replicas)
}

// refusals lists what must be equal and can't be changed without losing messages or another's intent.
func refusals(have, want jetstream.StreamConfig, replicas bool) (refused []Drift) {
	name := have.Name
	equal := func(field string, have, want any) {
		if have != want {
			refused = append(refused, Drift{name, field, strings.ToLower(fmt.Sprint(have)), strings.ToLower(fmt.Sprint(want))})
		}
	}
	equal("retention", have.Retention, want.Retention)
	equal("discard", have.Discard, want.Discard)
	equal("storage", have.Storage, want.Storage)
	equal("max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	equal("allow_rollup_hdrs", have.AllowRollup, want.AllowRollup)
	equal("allow_msg_ttl", have.AllowMsgTTL, want.AllowMsgTTL)
	equal("allow_msg_schedules", have.AllowMsgSchedules, want.AllowMsgSchedules)
	equal("allow_msg_counter", have.AllowMsgCounter, want.AllowMsgCounter)
	equal("no_ack", have.NoAck, want.NoAck)
	equal("sealed", have.Sealed, want.Sealed)
	equal("mirror", have.Mirror != nil, false)
	equal("subject_transform", have.SubjectTransform != nil, false)
	equal("consumer_limits.inactive_threshold", have.ConsumerLimits.InactiveThreshold, want.ConsumerLimits.InactiveThreshold)
	if replicas {
		equal("num_replicas", have.Replicas, want.Replicas)
	}
	return refused
}

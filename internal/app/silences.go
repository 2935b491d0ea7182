package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/router"
	"github.com/bellbuoy/bellbuoy/router/silence"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// silences are those of the config and of the bucket, as they are now.
type silences struct {
	fixed   []silence.Silence
	bucket  *bus.Bucket
	logger  *slog.Logger
	changed func()
	set     atomic.Pointer[silence.Set]
}

// newSilences reads what is there, so that nobody is woken while the first look is on its way.
func newSilences(ctx context.Context, fixed []silence.Silence, bucket *bus.Bucket, logger *slog.Logger) (*silences, error) {
	s := &silences{bucket: bucket, logger: logger, changed: func() {}}
	for _, one := range fixed {
		one = one.WithID()
		if one.Ended(time.Now()) {
			logger.Warn("a silence of the config has ended and can be taken out", "silence", one.ID, "until", one.Until)
		}
		s.fixed = append(s.fixed, one)
	}
	values := map[string][]byte{}
	err := bucket.Each(ctx, "", func(key string, value []byte, _ uint64) error {
		values[key] = value
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read silences: %w", err)
	}
	s.take(values)
	return s, nil
}

// run follows the bucket until ctx ends. While it can't be watched, those hold that are known.
func (s *silences) run(ctx context.Context) error {
	delay := backoff.New(time.Second, time.Minute)
	for {
		err := s.bucket.Watch(ctx, func(values map[string][]byte) {
			s.take(values)
			s.changed()
			delay.Reset()
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		s.logger.Warn("silences can't be followed, tried again", "err", err)
		if delay.Wait(ctx) != nil {
			return nil
		}
	}
}

func (s *silences) take(values map[string][]byte) {
	stored, faults := decodeSilences(values)
	for _, err := range faults {
		s.logger.Error("a stored silence can't be read and holds nothing back", "err", err)
	}
	set, err := silence.NewSet(append(stored, s.fixed...), compileMatcher)
	if err != nil {
		s.logger.Error("a silence holds nothing back", "err", err)
	}
	s.set.Store(set)
}

func (s *silences) holding(e *event.Event, now time.Time) (id string, until time.Time) {
	return s.set.Load().Holding(e, now)
}

func compileMatcher(when string) (silence.Matcher, error) { return router.Compile(when) }

func decodeSilences(values map[string][]byte) (list []silence.Silence, faults []error) {
	for key, value := range values {
		var one silence.Silence
		if err := json.Unmarshal(value, &one); err != nil {
			faults = append(faults, fmt.Errorf("silence %s: %w", key, err))
			continue
		}
		list = append(list, one)
	}
	return list, faults
}

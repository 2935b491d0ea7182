package ecs

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/bellbuoy/bellbuoy/collectors"
)

// Store keeps what was told of each task, under compare-and-set, so that a restart begins where it ended and
// two collectors on one queue agree.
type Store interface {
	collectors.Bucket
	// Each calls do for every value whose key matches the filter, such as t.>; an empty one means all. A value
	// that is written meanwhile may come as it was, as it is, or both. The first error of do ends it.
	Each(ctx context.Context, filter string, do func(key string, value []byte, revision uint64) error) error
}

// memoryStore is a Store that ends with the process.
type memoryStore struct {
	mu       sync.Mutex // guards what follows
	values   map[string]memoryValue
	revision uint64
}

type memoryValue struct {
	value    []byte
	revision uint64
}

var _ Store = (*memoryStore)(nil)

func newMemoryStore() *memoryStore { return &memoryStore{values: map[string]memoryValue{}} }

// Get returns a value and its revision, 0 if there is none.
func (s *memoryStore) Get(_ context.Context, key string) (value []byte, revision uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.values[key]
	return v.value, v.revision, nil
}

// Put writes if the key still has this revision.
func (s *memoryStore) Put(_ context.Context, key string, value []byte, revision uint64) (next uint64, won bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key].revision != revision {
		return 0, false, nil
	}
	s.revision++
	s.values[key] = memoryValue{bytes.Clone(value), s.revision}
	return s.revision, true, nil
}

// Each calls do for the values as they are at the beginning.
func (s *memoryStore) Each(ctx context.Context, filter string, do func(key string, value []byte, revision uint64) error) error {
	s.mu.Lock()
	keys := make([]string, 0, len(s.values))
	for key := range s.values {
		if matches(filter, key) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return int(s.values[a].revision) - int(s.values[b].revision) })
	s.mu.Unlock()
	for _, key := range keys {
		value, revision, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		if err := do(key, value, revision); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// matches reports whether a key is one of a prefix with a > behind it.
func matches(filter, key string) bool {
	prefix, more := strings.CutSuffix(filter, ">")
	return filter == "" || more && strings.HasPrefix(key, prefix) || key == filter
}

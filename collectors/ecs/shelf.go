package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// shelf keeps what is saved of workloads, services and hosts at hand. It is safe for concurrent use.
type shelf struct {
	store Store

	mu    sync.Mutex // guards what follows
	items map[string]shelved
}

type shelved struct {
	value    any // of what is saved under the key, never changed
	revision uint64
	read     time.Time
}

const (
	maxShelved = 20_000
	// fresh is how old what is at hand may be where another collector may have noted something since.
	fresh = 2 * time.Second
)

func newShelf(s Store) *shelf { return &shelf{store: s, items: map[string]shelved{}} }

// at returns what is at hand if it is not older than age.
func (s *shelf) at(key string, age time.Duration) (shelved, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, ok := s.items[key]
	return item, ok && (age < 0 || time.Since(item.read) <= age)
}

func (s *shelf) keep(key string, item shelved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.items[key]; !ok && len(s.items) >= maxShelved {
		for old := range s.items { // any: it is read again
			delete(s.items, old)
			break
		}
	}
	s.items[key] = item
}

func (s *shelf) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.items, key)
}

// read returns what is saved under a key, not older than age; a negative one takes what is at hand. It must not
// be changed.
func read[T any](ctx context.Context, s *shelf, key string, age time.Duration) (*T, uint64, error) {
	if item, ok := s.at(key, age); ok {
		if v, ok := item.value.(*T); ok {
			return v, item.revision, nil
		}
	}
	value, rev, err := s.store.Get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	v := new(T)
	if rev > 0 {
		if err := json.Unmarshal(value, v); err != nil {
			return nil, 0, fmt.Errorf("decode %s: %w", key, err)
		}
	}
	s.keep(key, shelved{v, rev, time.Now()})
	return v, rev, nil
}

// errContended is retried by whoever handles the message again.
var errContended = errors.New("another writer is always first")

const maxTries = 16

// update changes what is saved under a key. change gets a copy of its own and reports whether it changed it.
func update[T any](ctx context.Context, s *shelf, key string, change func(*T) bool) error {
	age := time.Duration(-1)
	for range maxTries {
		old, rev, err := read[T](ctx, s, key, age)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(old)
		if err != nil {
			return err
		}
		v := new(T)
		if err := json.Unmarshal(raw, v); err != nil {
			return err
		}
		if !change(v) {
			return nil
		}
		if w, ok := any(v).(*workload); ok {
			w.Saved = time.Now().Unix()
		}
		if raw, err = json.Marshal(v); err != nil {
			return err
		}
		next, won, err := s.store.Put(ctx, key, raw, rev)
		if err != nil {
			s.drop(key)
			return err
		}
		if won {
			s.keep(key, shelved{v, next, time.Now()})
			return nil
		}
		s.drop(key)
	}
	return fmt.Errorf("write %s: %w", key, errContended)
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	codeWrongRevision = 10071
	// markTTL is how long watchers that were away can see that a key was deleted.
	markTTL = time.Hour

	operationHeader = "KV-Operation"
)

// Bucket holds small values by key. Keys are of [A-Za-z0-9_=/.-]; event.Token makes a part of a key of
// any name.
type Bucket struct {
	name string
	bus  *Bus
	kv   jetstream.KeyValue
}

// Bucket opens one of the buckets, such as StateBucket.
func (b *Bus) Bucket(ctx context.Context, name string) (*Bucket, error) {
	kv, err := b.js.KeyValue(ctx, bucketPrefix+name)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucketPrefix+name, errors.Join(err, b.refused()))
	}
	return &Bucket{name: bucketPrefix + name, bus: b, kv: kv}, nil
}

// Get returns the value and its revision, or revision 0 if there is none.
func (k *Bucket) Get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	entry, err := k.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrKeyDeleted) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, k.wrap("read", key, err)
	}
	return entry.Value(), entry.Revision(), nil
}

// Put writes if the key still has this revision (0: does not exist) and returns the new one. won is false
// if another writer was first. After an error the value may have been written or not: read it again.
func (k *Bucket) Put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, won bool, err error) {
	if revision == 0 {
		next, err = k.kv.Create(ctx, key, value)
	} else {
		next, err = k.kv.Update(ctx, key, value, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || apiCode(err) == codeWrongRevision {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, k.wrap("write", key, err)
	}
	return next, true, nil
}

// PutFor writes a key that does not exist and removes it after ttl, which is at least a second. won is false
// if it exists.
func (k *Bucket) PutFor(ctx context.Context, key string, value []byte, ttl time.Duration) (next uint64, won bool, err error) {
	next, err = k.kv.Create(ctx, key, value, jetstream.KeyTTL(ttl))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, k.wrap("write", key, err)
	}
	return next, true, nil
}

// Delete removes the key if it still has this revision. won is false if another writer was first.
func (k *Bucket) Delete(ctx context.Context, key string, revision uint64) (won bool, err error) {
	// What marks the key as deleted goes away too: a bucket of task keys would fill with marks.
	err = k.kv.Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(markTTL))
	if apiCode(err) == codeWrongRevision {
		return false, nil
	}
	if err != nil {
		return false, k.wrap("delete", key, err)
	}
	return true, nil
}

// Keys returns the keys that match the filter, such as prod.docker.>; an empty one means all. They have no
// order.
func (k *Bucket) Keys(ctx context.Context, filter string) ([]string, error) {
	if filter == "" {
		filter = ">"
	}
	list, err := k.kv.ListKeysFiltered(ctx, filter)
	if err != nil {
		return nil, k.wrap("list", filter, err)
	}
	var keys []string
	for key := range list.Keys() {
		keys = append(keys, key)
	}
	if err := ctx.Err(); err != nil {
		return nil, k.wrap("list", filter, err)
	}
	return keys, nil
}

// Each calls do for every value whose key matches the filter, such as prod.docker.>; an empty one means all.
// They come in the order in which they were written, without a question for each; one that is written meanwhile
// comes as it was, as it is, or both. do may keep the value. Its first error ends the call and is returned.
func (k *Bucket) Each(ctx context.Context, filter string, do func(key string, value []byte, revision uint64) error) error {
	if filter == "" {
		filter = ">"
	}
	stream, root := "KV_"+k.name, "$KV."+k.name+"."
	consumer, err := k.bus.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{root + filter}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		return k.wrap("read all of", filter, err)
	}
	defer k.bus.forget(ctx, stream, consumer)
	if consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return k.wrap("read all of", filter, err)
	}
	defer messages.Stop()
	for {
		msg, err := next(ctx, messages, false)
		if err != nil || msg == nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return k.wrap("read all of", filter, err)
		}
		if h := msg.Headers(); h.Get(operationHeader) == "" && h.Get(jetstream.MarkerReasonHeader) == "" { // else it was deleted
			if err := do(strings.TrimPrefix(msg.Subject(), root), msg.Data(), meta.Sequence.Stream); err != nil {
				return err
			}
		}
		if meta.NumPending == 0 {
			return nil
		}
	}
}

func (k *Bucket) wrap(verb, key string, err error) error {
	return fmt.Errorf("%s key %q of bucket %s: %w", verb, key, k.name, err)
}

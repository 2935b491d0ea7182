package bus

import (
	"context"
	"errors"
	"maps"

	"github.com/nats-io/nats.go/jetstream"
)

var errWatchEnded = errors.New("the watch ended")

// Watch calls changed with all values of the bucket, by key: at once, and after each change, until ctx ends. changed
// may keep the map. It goes on after the connection was lost, and returns an error if the server ends it.
func (k *Bucket) Watch(ctx context.Context, changed func(values map[string][]byte)) error {
	w, err := k.kv.WatchAll(ctx)
	if err != nil {
		return k.wrap("watch", ">", err)
	}
	defer func() { _ = w.Stop() }() // the watch of a lost connection is gone already
	values, whole := map[string][]byte{}, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-w.Updates():
			switch {
			case !ok && ctx.Err() == nil:
				return k.wrap("watch", ">", errWatchEnded)
			case !ok:
				return nil
			case entry == nil:
				whole = true
			case entry.Operation() == jetstream.KeyValuePut:
				values[entry.Key()] = entry.Value()
			default:
				delete(values, entry.Key())
			}
			if whole {
				changed(maps.Clone(values))
			}
		}
	}
}

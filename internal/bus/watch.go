package bus

import (
	"context"
	"maps"

	"github.com/nats-io/nats.go/jetstream"
)

// Watch calls changed with all values of the bucket, by key: at once, and after each change, until ctx ends. changed
// may keep the map. It goes on after the connection was lost.
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
			case !ok:
				return nil // ctx has ended
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

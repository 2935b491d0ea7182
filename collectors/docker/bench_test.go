package docker

import (
	"encoding/json"
	"testing"

	"github.com/moby/moby/api/types/events"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// BenchmarkTranslate is the way of recorded events through the collector without its sockets: decoded,
// taken by the state machine, and written. The library's decoding alone is there to compare.
func BenchmarkTranslate(b *testing.B) {
	lines := recorded(b)
	b.Run("library decodes", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			var m events.Message
			if err := json.Unmarshal(lines[i%len(lines)], &m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decoded, translated and written", func(b *testing.B) {
		b.ReportAllocs()
		var m *machine
		buffer := make([]byte, 0, event.MaxSize)
		for i := 0; b.Loop(); i++ {
			if i%len(lines) == 0 { // their containers are removed
				m = newMachine(origin{"site", "node", "engine"}, cause.Docker(), 0)
			}
			msg := &events.Message{}
			if err := decodeMessage(lines[i%len(lines)], msg); err != nil {
				b.Fatal(err)
			}
			if !transition(msg) {
				continue
			}
			for _, o := range append(m.due(msg.TimeNano), m.event(input{msg: msg, now: msg.TimeNano}).outs...) {
				if _, err := event.Append(buffer, &o.event); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

package bus

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// The streams and the roots of their subjects. Events and retries share a stream so that a redriven event
// reaches its route through the consumer that the route already has.
const (
	EventsStream   = "BELLBUOY_EVENTS"
	DLQStream      = "BELLBUOY_DLQ"
	AdvisoryStream = "BELLBUOY_ADVISORY"

	retryPrefix = "bellbuoy.retry.v1."
	dlqPrefix   = "bellbuoy.dlq.v1."

	bucketPrefix  = "BELLBUOY_"
	bucketStreams = "KV_" + bucketPrefix
)

// The buckets.
const (
	StateBucket     = "STATE"
	IncidentsBucket = "INCIDENTS"
	ActionsBucket   = "ACTIONS"
	SilencesBucket  = "SILENCES"
	CursorsBucket   = "CURSORS"
	VersionsBucket  = "VERSIONS"
)

const (
	day       = 24 * time.Hour
	mib       = int64(1) << 20
	gib       = int64(1) << 30
	anyNumber = -1
)

// assets is the one table of everything that Setup keeps on the server. Never set on the events stream:
// rollup, schedules, message TTL and counters, with which a publisher could remove history by a header;
// a consumer inactivity limit, which would delete a route's position; interest or work-queue retention,
// with which one consumer's absence shapes what the others get.
func assets(replicas int) []jetstream.StreamConfig {
	replicas = max(replicas, 1)
	advisory := func(kind string) string { return "$JS.EVENT.ADVISORY.CONSUMER." + kind + "." + EventsStream + ".*" }
	return []jetstream.StreamConfig{
		stream(jetstream.StreamConfig{
			Name: EventsStream, Description: "Bellbuoy: every event, and redriven ones",
			Subjects: []string{event.SubjectPrefix + ">", retryPrefix + ">"},
			MaxAge:   7 * day, MaxBytes: 10 * gib, MaxMsgSize: 256 << 10, Duplicates: 10 * time.Minute, MaxConsumers: 256,
			AllowDirect: true, AllowAtomicPublish: true, AllowBatchPublish: true, Replicas: replicas,
		}),
		stream(jetstream.StreamConfig{
			Name: DLQStream, Description: "Bellbuoy: events that a route could not deliver, with the reason",
			Subjects: []string{dlqPrefix + ">"},
			MaxAge:   30 * day, MaxBytes: gib, MaxMsgSize: 512 << 10, Duplicates: time.Hour, MaxConsumers: 16,
			AllowDirect: true, Replicas: replicas,
		}),
		stream(jetstream.StreamConfig{
			Name: AdvisoryStream, Description: "Bellbuoy: what the server says about our consumers",
			Subjects: []string{advisory("MAX_DELIVERIES"), advisory("MSG_TERMINATED"), advisory("DELETED")},
			MaxAge:   7 * day, MaxBytes: 64 * mib, MaxMsgSize: anyNumber, Duplicates: 2 * time.Minute, MaxConsumers: 16,
			PersistMode: jetstream.AsyncPersistMode, Replicas: 1,
		}),
		bucket(StateBucket, "one entry per task", replicas, 0),
		bucket(IncidentsBucket, "open problems", replicas, 0),
		// A claim outlives every event that could come again and claim the same.
		bucket(ActionsBucket, "claims and budgets of restart handlers", replicas, 8*day),
		bucket(SilencesBucket, "who is not told what until when", replicas, 400*day),
		bucket(CursorsBucket, "how far each collector has read", replicas, 0),
		// What is still wanted is written again before its time. What has ended must outlive every event of it
		// that may come late.
		bucket(VersionsBucket, "what has been told of each ECS task, by version", replicas, 7*day),
	}
}

func stream(c jetstream.StreamConfig) jetstream.StreamConfig {
	c.Retention, c.Discard, c.Storage = jetstream.LimitsPolicy, jetstream.DiscardOld, jetstream.FileStorage
	c.MaxMsgs, c.MaxMsgsPerSubject = anyNumber, anyNumber
	return c
}

// bucket is the stream below a key-value bucket, as the protocol of NATS buckets wants it. Single keys may
// carry a TTL.
func bucket(name, what string, replicas int, ttl time.Duration) jetstream.StreamConfig {
	full := bucketPrefix + name
	return jetstream.StreamConfig{
		Name: "KV_" + full, Description: "Bellbuoy: " + what, Subjects: []string{"$KV." + full + ".>"},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		MaxMsgs: anyNumber, MaxMsgsPerSubject: 1, MaxBytes: anyNumber, MaxMsgSize: 256 << 10, MaxConsumers: anyNumber,
		MaxAge: ttl, Duplicates: 2 * time.Minute, Replicas: replicas,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute,
	}
}

// fit lowers the reservations of the table to a store of this size, so that events take at most half.
func fit(configs []jetstream.StreamConfig, store int64) {
	share := map[string]int64{EventsStream: 2, DLQStream: 8, AdvisoryStream: 64}
	for i := range configs {
		if part := share[configs[i].Name]; part > 0 {
			configs[i].MaxBytes = min(configs[i].MaxBytes, store/part)
		}
	}
}

// tail is the part of a subject that says what it is about, without its root: the same for an event, its
// redriven copy and its dead letter.
func tail(subject string) string {
	if rest, ok := strings.CutPrefix(subject, event.SubjectPrefix); ok {
		return rest
	}
	for _, root := range []string{retryPrefix, dlqPrefix} {
		if rest, ok := strings.CutPrefix(subject, root); ok {
			_, rest, _ = strings.Cut(rest, ".")
			return rest
		}
	}
	return subject
}

package event

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// NewID returns the id of an occurrence from the parts of its native identity: 32 lower-case base32
// characters of the first 20 bytes of SHA-256 over the parts, each behind its length. The same
// occurrence always gives the same id, however and how often it was read.
func NewID(parts ...string) string {
	var room [256]byte // enough for any identity of ours, so that nothing is allocated
	b := room[:0]
	for _, part := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return lowerBase32(sum[:20])
}

// lowerBase32 encodes a multiple of five bytes as RFC 4648 does, in lower case.
func lowerBase32(b []byte) string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	out := make([]byte, 0, 32)
	for ; len(b) >= 5; b = b[5:] {
		n := uint64(b[0])<<32 | uint64(b[1])<<24 | uint64(b[2])<<16 | uint64(b[3])<<8 | uint64(b[4])
		for shift := 35; shift >= 0; shift -= 5 {
			out = append(out, letters[n>>shift&31])
		}
	}
	return string(out)
}

// SourceOf returns the CloudEvents source bellbuoy://<site>/<runtime>/<node> of a collector; its parts
// are tokens, see Token.
func SourceOf(site string, runtime Runtime, node string) string {
	return "bellbuoy://" + Token(site) + "/" + Token(string(runtime)) + "/" + Token(node)
}

// SubjectOf returns the CloudEvents subject <scope>/<workload>/<task id>. It is the task key, too.
// Within a name / becomes =2F and = becomes =3D, so the parts can be told apart; a name longer than 256
// bytes keeps a prefix and a hash.
func SubjectOf(scope, workload, task string) string {
	return subjectPart(scope) + "/" + subjectPart(workload) + "/" + subjectPart(task)
}

// SubjectPrefix is the root of the NATS subjects of events.
const SubjectPrefix = "bellbuoy.events.v1."

// NATSSubject returns the subject that the event is published on:
// bellbuoy.events.v1.<site>.<runtime>.<scope>.<kind>.<event>.<workload>.<shard 00-15>.
func NATSSubject(e *Event) string {
	var b strings.Builder
	b.Grow(len(SubjectPrefix) + 128)
	b.WriteString(SubjectPrefix)
	for _, name := range [...]string{
		e.Data.Site, string(e.Data.Runtime), e.Data.Scope, e.Type.Kind(), e.Type.Event(), e.Data.Workload,
	} {
		b.WriteString(Token(name))
		b.WriteByte('.')
	}
	shard := Shard(e.PartitionKey)
	b.WriteByte('0' + byte(shard/10))
	b.WriteByte('0' + byte(shard%10))
	return b.String()
}

// Shard returns which of the 16 shards a task key belongs to.
func Shard(key string) int {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	return int(h % 16)
}

// Token limits: a longer name keeps a prefix and a hash.
const (
	maxToken    = 64
	tokenPrefix = 48
)

// Token makes one NATS subject token, and one part of a bucket key, of any name. Bytes outside
// [A-Za-z0-9_-] become =HH; an empty name is _, and a name that is _ is =5F. A token longer than 64
// characters keeps its first 48 and ends in =h and 13 base32 characters of its hash.
func Token(name string) string {
	if name == "" {
		return "_"
	}
	if name == "_" {
		return "=5F"
	}
	token := escape(name)
	if len(token) <= maxToken {
		return token
	}
	cut := tokenPrefix
	if i := strings.LastIndexByte(token[:cut], '='); i > cut-3 {
		cut = i // never through an escape
	}
	return token[:cut] + shortHash(name)
}

func escape(name string) string {
	plain := true
	for i := range len(name) {
		plain = plain && plainByte(name[i])
	}
	if plain {
		return name
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(name)+16)
	for i := range len(name) {
		if c := name[i]; plainByte(c) {
			b = append(b, c)
		} else {
			b = append(b, '=', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// maxSubjectPart bounds one name of a CloudEvents subject in bytes.
const maxSubjectPart = 256

func subjectPart(name string) string {
	hash := ""
	if len(name) > maxSubjectPart {
		name, hash = clipText(name, maxSubjectPart/2), shortHash(name)
	}
	if strings.ContainsAny(name, "/=") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "=", "=3D"), "/", "=2F")
	}
	return name + hash
}

// shortHash tells long names with the same prefix apart; no escape begins with its =h.
func shortHash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "=h" + lowerBase32(sum[:10])[:13]
}

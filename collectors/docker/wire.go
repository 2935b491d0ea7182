package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"github.com/containerd/errdefs"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/moby/moby/api/types/events"
)

// stamp writes a time in ns the way the daemon reads it.
func stamp(ns int64) string { return fmt.Sprintf("%d.%09d", ns/1e9, ns%1e9) }

func isMissing(err error) bool { return errdefs.IsNotFound(err) }

// decodeMessage reads one event as a daemon writes it, and nothing else. Members that it does not know
// are left out, and so are the attributes of events of which nobody reads them. The error says where and
// what, without repeating the text, which may hold secrets.
func decodeMessage(b []byte, into *events.Message) error {
	rest, err := decodeNext(b, into)
	if err == nil && len(rest) > 0 {
		err = &wireError{len(b) - len(rest), "the end of the event"}
	}
	return err
}

// decodeNext reads the first event of b and returns what follows it, without leading space: a proxy may
// have merged two.
func decodeNext(b []byte, into *events.Message) (rest []byte, err error) {
	d := wire{b: b}
	*into = events.Message{}
	if err := d.object(into, (*wire).message); err != nil {
		return nil, err
	}
	d.space()
	return b[d.i:], nil
}

// shareText is up to which size, in bytes, the attributes of an event share one copy of their text: a name
// that is kept must not keep a megabyte of labels.
const shareText = 2 << 10

// wire reads events by hand: half of the collector's work would be a JSON library's otherwise.
type wire struct {
	b []byte
	i int
	// text is a copy of b from base on; empty: each text is copied.
	text string
	base int
}

// wireError tells where an event can't be read.
type wireError struct {
	at   int
	want string
}

// Error implements error.
func (e *wireError) Error() string {
	return fmt.Sprintf("not an event of a Docker daemon: column %d: expected %s", e.at+1, e.want)
}

func (d *wire) bad(want string) error { return &wireError{d.i, want} }

// token is a text in b without its quotes, or what a text with escapes or beyond ASCII stands for.
type token struct {
	begin, end int
	odd        string
	isOdd      bool
}

// member reads the value of a member.
type member func(d *wire, into *events.Message, name token) error

// message reads a member of the event.
func (d *wire) message(into *events.Message, name token) (err error) {
	switch string(d.bytes(name)) {
	case "Type":
		var t token
		t, err = d.str()
		into.Type = events.Type(d.word(t))
	case "Action":
		var t token
		t, err = d.str()
		into.Action = events.Action(d.word(t))
	case "Actor":
		return d.object(into, (*wire).actor)
	case "scope":
		var t token
		t, err = d.str()
		into.Scope = d.word(t)
	case "time":
		into.Time, err = d.number()
	case "timeNano":
		into.TimeNano, err = d.number()
	default:
		return d.skip()
	}
	return err
}

func (d *wire) actor(into *events.Message, name token) error {
	switch string(d.bytes(name)) {
	case "ID":
		t, err := d.str()
		into.Actor.ID = d.string(t)
		return err
	case "Attributes":
		if d.null() {
			return nil
		}
		if !attributesRead(into) {
			return d.object(into, (*wire).leaveOut)
		}
		if len(d.b)-d.i <= shareText {
			d.text, d.base = string(d.b[d.i:]), d.i
		}
		into.Actor.Attributes = make(map[string]string, 8)
		return d.object(into, (*wire).attribute)
	}
	return d.skip()
}

// attributesRead reports whether anybody reads the attributes of such an event. Where its kind is not known
// yet they are kept.
func attributesRead(m *events.Message) bool {
	switch m.Type {
	case events.ContainerEventType:
		return m.Action == "" || handlers[actionOf(m.Action)] != nil
	case events.NetworkEventType:
		return m.Action == "" || m.Action == events.ActionDisconnect
	case events.ServiceEventType, "":
		return true
	}
	return false
}

func (d *wire) attribute(into *events.Message, name token) error {
	value, err := d.str()
	before := len(into.Actor.Attributes)
	if into.Actor.Attributes[d.string(name)] = d.string(value); err == nil && len(into.Actor.Attributes) == before {
		return d.bad("no attribute twice")
	}
	return err
}

func (d *wire) leaveOut(*events.Message, token) error {
	_, err := d.str()
	return err
}

// object reads an object, or null, which is an empty one.
func (d *wire) object(into *events.Message, read member) error {
	if d.null() {
		return nil
	}
	if !d.take('{') {
		return d.bad("an object")
	}
	if d.take('}') {
		return nil
	}
	for {
		name, err := d.quoted()
		if err != nil {
			return err
		}
		if !d.take(':') {
			return d.bad("a colon")
		}
		if err := read(d, into, name); err != nil {
			return err
		}
		switch {
		case d.take('}'):
			return nil
		case !d.take(','):
			return d.bad("a comma or the end of the object")
		}
	}
}

func (d *wire) bytes(t token) []byte {
	if t.isOdd {
		return nil // no member has such a name
	}
	return d.b[t.begin:t.end]
}

func (d *wire) string(t token) string {
	switch {
	case t.isOdd:
		return t.odd
	case d.text != "" && t.begin >= d.base:
		return d.text[t.begin-d.base : t.end-d.base]
	}
	return string(d.b[t.begin:t.end])
}

// word is string for the few words of daemons, which need no copy.
func (d *wire) word(t token) string {
	switch b := d.bytes(t); string(b) {
	case "container":
		return "container"
	case "network":
		return "network"
	case "local":
		return "local"
	case "create":
		return "create"
	case "start":
		return "start"
	case "kill":
		return "kill"
	case "die":
		return "die"
	case "stop":
		return "stop"
	case "destroy":
		return "destroy"
	case "connect":
		return "connect"
	case "disconnect":
		return "disconnect"
	}
	return d.string(t)
}

// str reads a text, or null, which is an empty one.
func (d *wire) str() (token, error) {
	if d.null() {
		return token{isOdd: true}, nil
	}
	return d.quoted()
}

func (d *wire) quoted() (token, error) {
	if !d.take('"') {
		return token{}, d.bad("a text in quotes")
	}
	begin := d.i
	for i, c := range d.b[begin:] {
		if c == '"' {
			d.i = begin + i + 1
			return token{begin: begin, end: begin + i}, nil
		}
		if c == '\\' || c < 0x20 || c >= 0x80 {
			return d.unusual(begin)
		}
	}
	return token{}, d.bad("the end of the text")
}

// unusual reads a text with escapes or beyond ASCII, of which the quote before begin was read.
func (d *wire) unusual(begin int) (token, error) {
	for i := begin; i < len(d.b); i++ {
		switch d.b[i] {
		case '\\':
			i++
		case '"':
			t := token{isOdd: true}
			if json.Unmarshal(d.b[begin-1:i+1], &t.odd) != nil {
				return t, d.bad("a text without bare control characters and unknown escapes")
			}
			d.i = i + 1
			return t, nil
		}
	}
	return token{}, d.bad("the end of the text")
}

// number reads a whole number, or null, which is 0.
func (d *wire) number() (int64, error) {
	if d.null() {
		return 0, nil
	}
	negative := d.take('-')
	begin, n := d.i, int64(0)
	for ; d.i < len(d.b) && d.b[d.i] >= '0' && d.b[d.i] <= '9'; d.i++ {
		digit := int64(d.b[d.i] - '0')
		if n > (math.MaxInt64-digit)/10 || n == 0 && d.i > begin {
			return 0, d.bad("a number of 64 bits")
		}
		n = 10*n + digit
	}
	if d.i == begin {
		return 0, d.bad("a number")
	}
	if negative {
		n = -n
	}
	return n, nil
}

// skip leaves out a value of any kind.
func (d *wire) skip() error {
	d.space()
	if d.i < len(d.b) && d.b[d.i] == '"' {
		_, err := d.quoted()
		return err
	}
	rest := jsontext.NewDecoder(bytes.NewReader(d.b[d.i:]), jsontext.AllowInvalidUTF8(true))
	if rest.SkipValue() != nil {
		return d.bad("a value")
	}
	d.i += int(rest.InputOffset())
	return nil
}

func (d *wire) space() {
	for d.i < len(d.b) && (d.b[d.i] == ' ' || d.b[d.i] == '\n' || d.b[d.i] == '\t' || d.b[d.i] == '\r') {
		d.i++
	}
}

// take reads one character, if it is the next behind space.
func (d *wire) take(c byte) bool {
	d.space()
	if d.i < len(d.b) && d.b[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *wire) null() bool {
	d.space()
	if bytes.HasPrefix(d.b[d.i:], []byte("null")) {
		d.i += len("null")
		return true
	}
	return false
}

package awsfake

import (
	"container/heap"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// message is one that a queue holds. Its queue's lock guards it.
type message struct {
	id, body, sum string
	attributes    map[string]types.MessageAttributeValue
	sent, first   time.Time // first: of its first receive
	taken         time.Time // of its last receive
	visible       time.Time // when it may be received, while it is hidden
	receives      int
	from          string // ARN of the queue that it was moved from
	at            int    // in the queue's heap of hidden messages, or -1
	gone          bool   // deleted, and still in the line of visible ones
}

// sumOf is what SQS names a body by and the SDK checks.
func sumOf(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

// handle is what the receiver of this very receive may delete the message with.
func (m *message) handle(queue string) *string {
	h := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %d %s", m.id, m.receives, queue))
	return &h
}

// readHandle takes a receipt handle apart.
func readHandle(handle, queue string) (id string, receive int, err error) {
	text, err := base64.StdEncoding.DecodeString(handle)
	if err == nil {
		var owner string
		if _, err = fmt.Sscanf(string(text), "%s %d %s", &id, &receive, &owner); err == nil && owner == queue {
			return id, receive, nil
		}
	}
	return "", 0, refuse("ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.", handle)
}

// hidden are the messages in flight and the delayed ones, the one that is visible next first.
type hidden []*message

func (h hidden) Len() int           { return len(h) }
func (h hidden) Less(i, j int) bool { return h[i].visible.Before(h[j].visible) }

func (h hidden) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push is for package heap.
func (h *hidden) Push(x any) {
	m, ok := x.(*message)
	if !ok {
		return // heap.Push is called with messages only
	}
	m.at = len(*h)
	*h = append(*h, m)
}

// Pop is for package heap.
func (h *hidden) Pop() any {
	last := len(*h) - 1
	m := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	m.at = -1
	return m
}

// hide keeps m from receivers until then.
func (q *Queue) hide(m *message, until time.Time) {
	m.visible = until
	if m.at >= 0 {
		heap.Fix(&q.hidden, m.at)
		return
	}
	if m.receives == 0 {
		q.delayed++
	}
	heap.Push(&q.hidden, m)
}

// show puts every message whose time has come back in line.
func (q *Queue) show(now time.Time) {
	for len(q.hidden) > 0 && !q.hidden[0].visible.After(now) {
		m := q.hidden[0]
		q.unhide(m)
		q.line = append(q.line, m)
	}
}

func (q *Queue) unhide(m *message) {
	heap.Remove(&q.hidden, m.at)
	if m.receives == 0 {
		q.delayed--
	}
}

// drop forgets m.
func (q *Queue) drop(m *message) {
	if m.at >= 0 {
		q.unhide(m)
	}
	m.gone = true
	delete(q.byID, m.id)
}

// take receives up to n messages for timeout, and returns those that were received too often as dead.
func (q *Queue) take(n int, now time.Time, timeout time.Duration) (got, dead []*message) {
	q.show(now)
	for len(q.line) > 0 && len(got) < n {
		m := q.line[0]
		q.line[0] = nil
		q.line = q.line[1:]
		switch {
		case m.gone:
		case now.Sub(m.sent) >= q.retention:
			q.drop(m)
		case q.maxReceives > 0 && m.receives >= q.maxReceives:
			q.drop(m)
			dead = append(dead, m)
		default:
			m.receives++
			m.taken = now
			if m.first.IsZero() {
				m.first = now
			}
			q.most = max(q.most, m.receives)
			q.hide(m, now.Add(timeout))
			got = append(got, m)
		}
	}
	return got, dead
}

// held finds the message that a receipt handle is for, or nil if it is gone or was received again since.
func (q *Queue) held(handle string) (*message, error) {
	id, receive, err := readHandle(handle, q.name)
	if err != nil {
		return nil, err
	}
	m := q.byID[id]
	if m == nil || m.receives != receive {
		return nil, nil
	}
	return m, nil
}

// legal says whether SQS takes a body: the characters that XML has.
func legal(body string) bool {
	return !strings.ContainsFunc(body, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

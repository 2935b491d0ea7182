package faults

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// Fault answers a request in the place of the server, which it may still ask through forward.
type Fault func(w http.ResponseWriter, r *http.Request, forward http.Handler)

// Status answers without asking the server.
func Status(code int, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

// Throttle refuses as the server itself would when it is asked too often: SNS with 429 in the Query
// protocol, SQS with 400 in the JSON protocol, OpenSearch with 429.
func Throttle() Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		switch {
		case r.Header.Get("X-Amz-Target") != "":
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.Header().Set("X-Amzn-Query-Error", "RequestThrottled;Sender")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Request is throttled."}`)
		case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>`+
				`<Code>Throttled</Code><Message>Rate exceeded</Message></Error>`+
				`<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>`)
		default:
			const body = `{"error":{"root_cause":[%[1]s],"type":"rejected_execution_exception","reason":"queue is full"},"status":429}`
			w.Header().Set("Content-Type", "application/json; charset=UTF-8")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprintf(w, body, `{"type":"rejected_execution_exception","reason":"queue is full"}`)
		}
	}
}

// LoseResponse lets the server do its work and cuts the connection instead of telling the client.
func LoseResponse() Fault {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		cut(w)
	}
}

// Reset cuts the connection before the server sees the request.
func Reset() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { cut(w) }
}

// Delay forwards late, or never when the client gives up first.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			forward.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// cut ends the connection with a TCP reset. A recorder has none to end.
func cut(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server's own way of cutting
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // no more than a plain close if it cannot
	}
	conn.Close()
}

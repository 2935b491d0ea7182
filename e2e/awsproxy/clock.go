package awsproxy

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const signed = "20060102T150405Z" // the format of X-Amz-Date

// skewed answers as a server whose clock is ahead.
func skewed(w http.ResponseWriter, r *http.Request, c Call, ahead time.Duration, forward http.Handler) {
	now := time.Now().UTC().Add(cmp.Or(ahead, time.Hour))
	at, err := time.Parse(signed, r.Header.Get("X-Amz-Date"))
	w = dated{w, now.Format(http.TimeFormat)}
	if err == nil && now.Sub(at).Abs() <= 5*time.Minute {
		forward.ServeHTTP(w, r)
		return
	}
	said := saying{"InvalidSignatureException", http.StatusBadRequest, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)",
		at.Format(signed), now.Add(-5*time.Minute).Format(signed), now.Format(signed))}
	if strings.HasPrefix(c.Operation, "sqs:") || strings.HasPrefix(c.Operation, "sns:") || strings.HasPrefix(c.Operation, "sts:") {
		said.code, said.status = "SignatureDoesNotMatch", http.StatusForbidden
	}
	refuse(w, r, c, said)
}

// dated tells another time than the real server's.
type dated struct {
	http.ResponseWriter
	date string
}

// WriteHeader sets the date last, over what a forwarded answer says.
func (d dated) WriteHeader(status int) {
	d.Header().Set("Date", d.date)
	d.ResponseWriter.WriteHeader(status)
}

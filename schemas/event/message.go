package event

import (
	"bytes"
	"fmt"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// DecodeMessage reads the event of one message in either mode of the CloudEvents NATS binding. A
// Content-Type of application/cloudevents… or a body without ce- headers is structured; otherwise the
// attributes are the ce- headers, percent-encoded, and the body is the data. Header names are compared
// without case, and of several values the first counts.
func DecodeMessage(header map[string][]string, body []byte) (Event, error) {
	attrs := foldHeader(header)
	contentType := attrs["content-type"]
	if strings.HasPrefix(strings.ToLower(contentType), "application/cloudevents") {
		return Decode(body)
	}
	if _, ok := attrs["ce-specversion"]; ok {
		return decodeBinary(attrs, body)
	}
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		return Decode(body)
	}
	return Event{}, fmt.Errorf("%w: neither a structured nor a binary CloudEvent: no Content-Type %s, no ce-specversion header, and the body is not a JSON object",
		ErrInvalid, ContentType)
}

func foldHeader(header map[string][]string) map[string]string {
	folded := make(map[string]string, len(header))
	for name, values := range header {
		if len(values) > 0 {
			folded[strings.ToLower(name)] = values[0]
		}
	}
	return folded
}

func decodeBinary(attrs map[string]string, body []byte) (Event, error) {
	env := envelope{
		SpecVersion:     attribute(attrs, "specversion"),
		ID:              attribute(attrs, "id"),
		Source:          attribute(attrs, "source"),
		Type:            Type(attribute(attrs, "type")),
		Subject:         attribute(attrs, "subject"),
		PartitionKey:    attribute(attrs, "partitionkey"),
		Sequence:        attribute(attrs, "sequence"),
		CausationID:     attribute(attrs, "causationid"),
		TraceParent:     attribute(attrs, "traceparent"),
		DataContentType: attribute(attrs, "datacontenttype"),
	}
	if env.DataContentType == "" {
		env.DataContentType = attrs["content-type"]
	}
	var err error
	if env.Time, err = timeAttribute(attrs, "time"); err != nil {
		return Event{}, err
	}
	if env.Recorded, err = timeAttribute(attrs, "recordedtime"); err != nil {
		return Event{}, err
	}
	if number := attribute(attrs, "severitynumber"); number != "" {
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			return Event{}, fmt.Errorf("%w: header ce-severitynumber is not an integer", ErrInvalid)
		}
		env.Severity = Severity(n)
	}
	if len(body) > 0 && isJSON(env.DataContentType) {
		if err := json.Unmarshal(body, &env.Data); err != nil {
			return Event{}, fmt.Errorf("data: %w", where(err))
		}
	}
	return env.event()
}

// attribute returns the decoded value of a ce- header. A value that is not well percent-encoded is
// taken as it is: several writers do not encode at all.
func attribute(attrs map[string]string, name string) string {
	raw := attrs["ce-"+name]
	if value, err := url.PathUnescape(raw); err == nil {
		return cleanAttribute(value)
	}
	return cleanAttribute(raw)
}

func timeAttribute(attrs map[string]string, name string) (time.Time, error) {
	value := attribute(attrs, name)
	if value == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: header ce-%s is not an RFC 3339 time", ErrInvalid, name)
	}
	return t, nil
}

// isJSON tells whether data of the content type is JSON; none means JSON.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == dataType {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == dataType || media == "text/json" || strings.HasSuffix(media, "+json"))
}

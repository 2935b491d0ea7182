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
	if exact := header["Content-Type"]; len(exact) > 0 && exact[0] == ContentType {
		return Decode(body) // what our own publisher writes
	}
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

// decodeBinary reads the attributes from ce- headers. The SDK writes the data's content type as plain
// Content-Type.
func decodeBinary(header map[string]string, body []byte) (Event, error) {
	attrs := map[string]string{"datacontenttype": header["content-type"]}
	for name, value := range header {
		if name, ok := strings.CutPrefix(name, "ce-"); ok {
			attrs[name] = percentDecoded(value)
		}
	}
	return fromAttributes(attrs, body)
}

// percentDecoded takes a value that is not well encoded as it is: several writers do not encode at all.
func percentDecoded(value string) string {
	if decoded, err := url.PathUnescape(value); err == nil {
		return decoded
	}
	return value
}

// fromAttributes makes an event of attributes in their string form and the bytes of the data.
func fromAttributes(attrs map[string]string, data []byte) (Event, error) {
	env := envelope{SpecVersion: attrs["specversion"], DataContentType: attrs["datacontenttype"]}
	env.ID, env.Source, env.Type = attrs["id"], attrs["source"], Type(attrs["type"])
	env.Subject, env.PartitionKey, env.Sequence = attrs["subject"], attrs["partitionkey"], attrs["sequence"]
	env.CausationID, env.TraceParent = attrs["causationid"], attrs["traceparent"]
	var err error
	if env.Time, err = parseTime(attrs, "time"); err != nil {
		return Event{}, err
	}
	if env.Recorded, err = parseTime(attrs, "recordedtime"); err != nil {
		return Event{}, err
	}
	if text := attrs["severitynumber"]; text != "" {
		number, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return Event{}, fmt.Errorf("%w: attribute severitynumber is not an integer", ErrInvalid)
		}
		env.Severity = Severity(number)
	}
	if len(data) > 0 && isJSON(env.DataContentType) {
		if err := json.Unmarshal(data, &env.Data); err != nil {
			return Event{}, fmt.Errorf("data: %w", where(err))
		}
	}
	return env.event()
}

func parseTime(attrs map[string]string, name string) (time.Time, error) {
	if attrs[name] == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, attrs[name])
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: attribute %s is not an RFC 3339 time", ErrInvalid, name)
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

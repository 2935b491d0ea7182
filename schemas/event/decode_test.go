package event

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const minimal = `{"specversion":"1.0","id":"1","source":"x","type":"com.example.other","time":"2026-11-03T02:00:00Z"}`

func TestDecodeSaysWhereAndWhatButNoValue(t *testing.T) {
	e := stop()
	valid, err := Append(nil, &e)
	require.NoError(t, err)
	for name, c := range map[string]struct{ old, new, want string }{
		"wrong type":        {`"exit_code":3`, `"exit_code":"hunter2"`, "at /data/task/containers/0/exit_code after byte 958: a JSON string does not fit int64"},
		"fraction":          {`"exit_code":3`, `"exit_code":3.5`, "a JSON number does not fit int64"},
		"bad time":          {`"recordedtime":"2026`, `"recordedtime":"hunter2-2026`, "at /recordedtime after byte "},
		"bad UTF-8":         {`shop-web-1`, "hunter2\xff", "invalid UTF-8"},
		"same name twice":   {`"site":`, `"site":"hunter2","site":`, "at /data/site after byte"},
		"same twice on top": {`"time":`, `"id":"hunter2","time":`, "at /id after byte"},
		"cut off":           {`}}`, ``, "unexpected EOF"},
		"two events":        {`"io`, `"}{"`, "at "},
		"version":           {`"specversion":"1.0"`, `"specversion":"0.3"`, `specversion is "0.3", want "1.0"`},
		"data type":         {`"application/json"`, `"text/plain"`, `datacontenttype is "text/plain"`},
		"no id":             {`"id":"` + e.ID, `"id":"`, "id is missing"},
		"null source":       {`"source":"bellbuoy://prod-eu/docker/web-7"`, `"source":null`, "source is missing"},
		"no time":           {`"time":`, `"time_":`, "time is missing"},
		"no section":        {`"cause":`, `"because":`, "io.bellbuoy.task.stopped.v1 needs data.cause"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(string(valid), c.old, c.new, 1)
			require.NotEqual(t, string(valid), changed)
			_, err := Decode([]byte(changed))
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestDecodeIgnoresWhatItDoesNotKnow(t *testing.T) {
	e, err := Decode([]byte(minimal))
	require.NoError(t, err)
	require.Equal(t, Event{ID: "1", Source: "x", Type: "com.example.other", Time: time.Date(2026, 11, 3, 2, 0, 0, 0, time.UTC)}, e)
	_, ok := Lookup(e.Type)
	require.False(t, ok)
	require.Error(t, Validate(&e))

	e, err = Decode([]byte(strings.Replace(minimal, `{`, `{"tenant":{"id":7},"data":{"site":"s","color":[1]},"subject":null,"time_":0,`, 1)))
	require.NoError(t, err)
	require.Equal(t, "s", e.Data.Site)

	data := base64.StdEncoding.EncodeToString([]byte(`{"site":"b64"}`))
	e, err = Decode([]byte(strings.Replace(minimal, `{`, `{"data_base64":"`+data+`",`, 1)))
	require.NoError(t, err)
	require.Equal(t, "b64", e.Data.Site)
}

func TestDecodeMessageFindsTheMode(t *testing.T) {
	want := stop()
	structured, err := Append(nil, &want)
	require.NoError(t, err)
	var w writer
	w.data(&want.Data)
	binary := map[string][]string{
		"content-type": {"application/json; charset=utf-8"}, "Ce-Specversion": {"1.0"}, "ce-id": {want.ID, "other"},
		"CE-SOURCE": {want.Source}, "ce-type": {string(want.Type)}, "ce-subject": {strings.ReplaceAll(want.Subject, "e", "%65")},
		"ce-time": {want.Time.Format(time.RFC3339Nano)}, "ce-recordedtime": {want.Recorded.Format(time.RFC3339Nano)},
		"ce-partitionkey": {want.PartitionKey}, "ce-sequence": {want.Sequence}, "ce-severitynumber": {"17"}, "ce-color": {"100%"},
	}
	for name, c := range map[string]struct {
		header map[string][]string
		body   []byte
	}{
		"ours":               {map[string][]string{"Content-Type": {ContentType}, "Nats-Msg-Id": {want.ID}}, structured},
		"folded with suffix": {map[string][]string{"content-TYPE": {"Application/CloudEvents+json; charset=utf-8"}}, structured},
		"no header":          {nil, structured},
		"leading space":      {map[string][]string{"Content-Type": {"application/json"}}, append([]byte(" \n"), structured...)},
		"binary":             {binary, w.b},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := DecodeMessage(c.header, c.body)
			require.NoError(t, err)
			require.Equal(t, want, e)
		})
	}
}

func TestDecodeMessageRefuses(t *testing.T) {
	binary := func(name, value string) map[string][]string {
		h := map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"x"}, "ce-type": {"t"}, "ce-time": {"2026-11-03T02:00:00Z"}}
		h[name] = []string{value}
		return h
	}
	for want, c := range map[string]struct {
		header map[string][]string
		body   string
	}{
		"neither a structured nor a binary CloudEvent": {nil, "hello"},
		"neither a structured nor":                     {map[string][]string{"Content-Type": {}}, ""},
		"at the top after byte 0":                      {map[string][]string{"Content-Type": {"application/cloudevents-batch+json"}}, "[]"},
		"attribute time is not":                        {binary("ce-time", "hunter2"), ""},
		"attribute recordedtime is not":                {binary("ce-recordedtime", "hunter2"), ""},
		"attribute severitynumber is not an integer":   {binary("ce-severitynumber", "hunter2"), ""},
		"data: invalid event: at /site after byte":     {binary("ce-color", "1"), `{"site":7}`},
		"datacontenttype is":                           {binary("ce-datacontenttype", "image/png"), "hunter2"},
		"id is missing":                                {binary("ce-id", ""), ""},
	} {
		t.Run(want, func(t *testing.T) {
			_, err := DecodeMessage(c.header, []byte(c.body))
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

package event_test

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	sdk "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

// message is one NATS message as a binding of the SDK sees it: it reads structured mode, and as a
// writer it makes either mode. The attributes of binary mode are percent-encoded as the NATS binding
// asks, or plain as the SDK itself writes them.
type message struct {
	header map[string][]string
	body   []byte
	plain  bool
}

func (m *message) ReadEncoding() binding.Encoding { return binding.EncodingStructured }

func (m *message) ReadStructured(ctx context.Context, w binding.StructuredWriter) error {
	return w.SetStructuredEvent(ctx, format.JSON, bytes.NewReader(m.body))
}

func (m *message) ReadBinary(context.Context, binding.BinaryWriter) error {
	return binding.ErrNotBinary
}

func (m *message) Finish(error) error { return nil }

func (m *message) SetStructuredEvent(_ context.Context, f format.Format, body io.Reader) (err error) {
	m.header = map[string][]string{"content-type": {f.MediaType()}}
	m.body, err = io.ReadAll(body)
	return err
}

func (m *message) Start(context.Context) error { m.header = map[string][]string{}; return nil }
func (m *message) End(context.Context) error   { return nil }

func (m *message) SetAttribute(a spec.Attribute, value any) error {
	return m.SetExtension(a.Name(), value)
}

func (m *message) SetExtension(name string, value any) error {
	text, err := types.Format(value)
	if !m.plain {
		text = url.PathEscape(text)
	}
	m.header["ce-"+name] = []string{text}
	return err
}

func (m *message) SetData(data io.Reader) (err error) {
	m.body, err = io.ReadAll(data)
	return err
}

var (
	_ binding.Message          = (*message)(nil)
	_ binding.StructuredWriter = (*message)(nil)
	_ binding.BinaryWriter     = (*message)(nil)
)

func TestTheSDKReadsWhatAppendWrote(t *testing.T) {
	for _, e := range schematest.Golden(t) {
		encoded, err := event.Append(nil, &e)
		require.NoError(t, err)
		got, err := binding.ToEvent(t.Context(), &message{body: encoded})
		require.NoError(t, err, e.Type)
		require.NoError(t, got.Validate())
		require.Equal(t, e.ID, got.ID())
		require.Equal(t, e.Source, got.Source())
		require.Equal(t, string(e.Type), got.Type())
		require.Equal(t, e.Subject, got.Subject())
		require.Equal(t, e.Time, got.Time())
		info, _ := event.Lookup(e.Type)
		require.Equal(t, info.Schema(), got.DataSchema())
		require.Equal(t, "application/json", got.DataContentType())
		require.EqualValues(t, e.Severity, got.Extensions()["severitynumber"])
		require.Equal(t, e.Severity.String(), got.Extensions()["severitytext"])
		require.Equal(t, e.PartitionKey, got.Extensions()["partitionkey"])
		require.Equal(t, e.Sequence, got.Extensions()["sequence"])
		var data event.Data
		require.NoError(t, got.DataAs(&data))
		require.Equal(t, e.Data, data)

		back, err := event.FromSDK(*got)
		require.NoError(t, err)
		require.Equal(t, e, back)
	}
}

func TestDecodeReadsWhatTheSDKWrote(t *testing.T) {
	check := schematest.New(t)
	for name, write := range map[string]func(*message, *sdk.Event) error{
		"structured": func(m *message, e *sdk.Event) error {
			_, err := binding.Write(t.Context(), binding.ToMessage(e), m, nil)
			return err
		},
		"binary": func(m *message, e *sdk.Event) error {
			_, err := binding.Write(binding.WithForceBinary(t.Context()), binding.ToMessage(e), nil, m)
			return err
		},
		"binary as the SDK writes it": func(m *message, e *sdk.Event) error {
			m.plain = true
			_, err := binding.Write(binding.WithForceBinary(t.Context()), binding.ToMessage(e), nil, m)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range schematest.Golden(t) {
				out, err := event.ToSDK(e)
				require.NoError(t, err)
				var m message
				require.NoError(t, write(&m, &out))
				got, err := event.DecodeMessage(m.header, m.body)
				require.NoError(t, err, e.Type)
				require.Equal(t, e, got)
				if name == "structured" {
					check.Encoded(m.body)
				}
			}
		})
	}
}

func TestFromSDKRefusesWhatDecodeRefuses(t *testing.T) {
	good, err := event.ToSDK(schematest.Golden(t)[0])
	require.NoError(t, err)
	for want, change := range map[string]func(e *sdk.Event){
		"attribute severitynumber is not an integer": func(e *sdk.Event) { e.SetExtension("severitynumber", "high") },
		"attribute recordedtime is not an RFC 3339":  func(e *sdk.Event) { e.SetExtension("recordedtime", "now") },
		"data: invalid event: at /site":              func(e *sdk.Event) { e.DataEncoded = []byte(`{"site":1}`) },
		"datacontenttype":                            func(e *sdk.Event) { e.SetDataContentType("text/plain") },
		"needs data.task":                            func(e *sdk.Event) { e.DataEncoded = nil },
		"id is missing":                              func(e *sdk.Event) { c := e.Context.AsV1(); c.ID = ""; e.Context = c },
		"specversion":                                func(e *sdk.Event) { e.SetSpecVersion("0.3") },
	} {
		t.Run(want, func(t *testing.T) {
			changed := good.Clone()
			change(&changed)
			_, err := event.FromSDK(changed)
			require.ErrorIs(t, err, event.ErrInvalid)
			require.ErrorContains(t, err, want)
		})
	}
	_, err = event.ToSDK(event.Event{})
	require.ErrorIs(t, err, event.ErrInvalid)
}

package event

import (
	"fmt"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// ToSDK returns the event as the CloudEvents SDK holds it, for code that speaks another binding. It is
// cut to MaxSize like Append does it. The error wraps ErrInvalid.
func ToSDK(e Event) (sdk.Event, error) {
	b, err := Append(nil, &e)
	if err != nil {
		return sdk.Event{}, err
	}
	var out sdk.Event
	if err := out.UnmarshalJSON(b); err != nil {
		return sdk.Event{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return out, nil
}

// FromSDK returns an event that the CloudEvents SDK received. It checks what Decode checks; attributes
// that are not of this contract are ignored. The error wraps ErrInvalid.
func FromSDK(in sdk.Event) (Event, error) {
	attrs := map[string]string{
		"specversion": in.SpecVersion(), "id": in.ID(), "source": in.Source(), "type": in.Type(),
		"subject": in.Subject(), "datacontenttype": in.DataContentType(),
	}
	if !in.Time().IsZero() {
		attrs["time"] = types.FormatTime(in.Time())
	}
	for name, value := range in.Extensions() {
		text, err := types.Format(value)
		if err != nil {
			return Event{}, fmt.Errorf("%w: extension %s: %w", ErrInvalid, name, err)
		}
		attrs[name] = text
	}
	return fromAttributes(attrs, in.Data())
}

package event_test

import (
	"fmt"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2/event"

	"github.com/bellbuoy/bellbuoy/schemas"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// A subscriber reads the message that it got from NATS, in either mode of CloudEvents.
func ExampleDecodeMessage() {
	body, err := schemas.Example("task.stopped")
	if err != nil {
		fmt.Println(err)
		return
	}
	header := map[string][]string{"Content-Type": {event.ContentType}}
	e, err := event.DecodeMessage(header, body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Type.Kind(), e.Type.Event(), e.Severity, e.Data.Workload)
	fmt.Println(e.Data.Cause.Class, "expected:", e.Data.Cause.Expected)
	fmt.Println(event.NATSSubject(&e))
	// Output:
	// task stopped ERROR web
	// exit.error expected: false
	// bellbuoy.events.v1.prod-eu.docker.shop.task.stopped.web.12
}

// The CloudEvents SDK reads the same bytes; the data decodes into the types of this package, or into any
// other struct.
func Example_sdk() {
	body, err := schemas.Example("task.stopped")
	if err != nil {
		fmt.Println(err)
		return
	}
	var e sdk.Event
	if err := e.UnmarshalJSON(body); err != nil {
		fmt.Println(err)
		return
	}
	var data struct {
		Workload string
		Cause    struct{ Say string }
	}
	if err := e.DataAs(&data); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Type(), e.Extensions()["severitytext"])
	fmt.Println(data.Workload+":", data.Cause.Say)
	// Output:
	// io.bellbuoy.task.stopped.v1 ERROR
	// web: The process ended itself with exit code 3.
}

// A collector makes an event of a native record and publishes its bytes on its subject.
func ExampleAppend() {
	now := time.Date(2026, 11, 3, 2, 14, 7, 0, time.UTC)
	e := event.Event{
		ID:     event.NewID("docker", "engine-7", "4f2c", "pause", "1793672047123456789"),
		Source: event.SourceOf("prod-eu", event.Docker, "web-7"),
		Type:   event.TaskPaused, Time: now, Recorded: now,
		Subject: event.SubjectOf("shop", "web", "4f2c"), PartitionKey: event.SubjectOf("shop", "web", "4f2c"),
		Data: event.Data{
			Site: "prod-eu", Runtime: event.Docker, Scope: "shop", Node: "web-7", Workload: "web",
			Observed: event.ObservedStream, Task: &event.Task{ID: "4f2c", State: event.StatePaused},
		},
	}
	e.Severity = event.SeverityOf(&e)
	if err := event.Validate(&e); err != nil {
		fmt.Println(err)
		return
	}
	body, err := event.Append(nil, &e)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(body) < 1024, event.NATSSubject(&e))
	// Output:
	// true bellbuoy.events.v1.prod-eu.docker.shop.task.paused.web.08
}

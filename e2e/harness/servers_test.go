package harness_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/faults"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

func TestOpenSearchKeepsWhatItAcknowledged(t *testing.T) {
	search := stand.OpenSearch(t)
	require.Equal(t, http.StatusCreated, create(t, search, "kept"))
	require.Equal(t, http.StatusConflict, create(t, search, "kept"))
	search.Kill(t)
	search.Start(t)
	require.Equal(t, http.StatusConflict, create(t, search, "kept"))
	search.Stop(t)
	search.Start(t)
	require.Equal(t, http.StatusConflict, create(t, search, "kept"))
}

// create creates a document by the bulk API and returns the status of its item.
func create(t *testing.T, search *harness.OpenSearch, id string) int {
	t.Helper()
	body := `{"create":{"_index":"harness","_id":"` + id + `"}}` + "\n" + `{"n":1}` + "\n"
	res, err := http.Post(search.URL+"/_bulk?filter_path=items.create.status", "application/x-ndjson", strings.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	var answer struct {
		Items []struct {
			Create struct{ Status int }
		}
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
	require.Len(t, answer.Items, 1)
	return answer.Items[0].Create.Status
}

func TestMotoDeliversThroughFaults(t *testing.T) {
	moto := stand.Moto(t)
	topic, queue := moto.TopicWithQueue(t, "alerts")
	proxy := faults.New(t, moto.URL)
	cfg := moto.Config()
	cfg.BaseEndpoint = aws.String(proxy.URL)
	alerts := sns.NewFromConfig(cfg, func(o *sns.Options) { o.Retryer = aws.NopRetryer{} })
	publish := func(message string) error {
		_, err := alerts.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Message: &message})
		return err
	}

	require.NoError(t, publish("first"))
	proxy.Inject(faults.Rule{Operation: "Publish", Fault: faults.Throttle(), Times: 1})
	require.ErrorContains(t, publish("second"), "Throttled")
	proxy.Inject(faults.Rule{Operation: "Publish", Fault: faults.LoseResponse(), Times: 1})
	require.Error(t, publish("third"))
	require.Equal(t, 3, proxy.Calls("Publish"))

	var bodies []string
	for _, message := range moto.Messages(t, queue, 30*time.Second, harness.AtLeast(2)) {
		bodies = append(bodies, *message.Body)
	}
	require.ElementsMatch(t, []string{"first", "third"}, bodies)
	require.Empty(t, moto.Messages(t, queue, 30*time.Second, nil))
}

func TestNATSKeepsItsStream(t *testing.T) {
	server := stand.NATS(t, `authorization {user: bell, password: buoy}`)
	_, err := nats.Connect(server.URL)
	require.ErrorIs(t, err, nats.ErrAuthorization)

	connection, err := nats.Connect(server.URL, nats.UserInfo("bell", "buoy"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	bus, err := jetstream.New(connection)
	require.NoError(t, err)
	_, err = bus.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}})
	require.NoError(t, err)
	_, err = bus.Publish(t.Context(), "events.one", []byte("1"))
	require.NoError(t, err)

	server.Kill(t)
	server.Start(t)
	require.Eventually(t, connection.IsConnected, 30*time.Second, 20*time.Millisecond)
	stream, err := bus.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, 1, stream.CachedInfo().State.Msgs)
}

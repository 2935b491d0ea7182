package bus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
)

func TestQuarantineKeepsALetterOnce(t *testing.T) {
	ctx := t.Context()
	dlq := bustest.New(t).DeadLetters()
	letter := bus.Letter{
		Collector: "ecs-2", Source: "https://sqs.eu-west-1.amazonaws.com/123456789012/events", ID: "m-1",
		Class: "undecodable", Reason: "byte 7:\nnot JSON " + strings.Repeat("x", 2000), Body: []byte(strings.Repeat("{", 200<<10)),
	}
	require.NoError(t, dlq.Quarantine(ctx, letter))
	require.NoError(t, dlq.Quarantine(ctx, letter), "again: kept once")
	other := letter
	other.ID, other.Body = "m-2", nil
	require.NoError(t, dlq.Quarantine(ctx, other))

	list, err := dlq.List(ctx, 0)
	require.NoError(t, err)
	require.Len(t, list, 2)
	got := list[0]
	assert.True(t, got.Quarantined)
	assert.Equal(t, []string{"ecs-2", "undecodable", letter.Source, "m-1"}, []string{got.Route, got.Class, got.Source, got.Origin})
	assert.True(t, strings.HasPrefix(got.Reason, "byte 7: not JSON x"))
	assert.Less(t, len(got.Reason), 1100)
	assert.Equal(t, letter.Body, got.Raw)
	assert.WithinDuration(t, time.Now(), got.Time, bustest.Wait)
	require.ErrorIs(t, got.Err, bus.ErrQuarantined)

	require.ErrorIs(t, dlq.Redrive(ctx, got.Seq), bus.ErrQuarantined)
	shown, err := dlq.Show(ctx, got.Seq)
	require.NoError(t, err)
	assert.Equal(t, got, shown)
	require.NoError(t, dlq.Drop(ctx, got.Seq))
	require.NoError(t, dlq.Quarantine(ctx, letter), "it came again after it was dropped")
	list, err = dlq.List(ctx, 0)
	require.NoError(t, err)
	assert.Len(t, list, 2)
}

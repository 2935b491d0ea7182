package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStagesStopInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		until := func(name string) stage {
			return stage{name, func(ctx context.Context) error {
				<-ctx.Done()
				order = append(order, name) // one stage stops at a time, so this is no race
				return ctx.Err()
			}}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, runStages(ctx, []stage{until("publisher"), until("routes"), until("collectors")}, time.Minute))
		assert.Equal(t, []string{"collectors", "routes", "publisher"}, order)
	})
}

func TestStagesEndWhenOneFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		err := runStages(t.Context(), []stage{
			{"http", func(ctx context.Context) error { <-ctx.Done(); return nil }},
			{"routes", func(context.Context) error { return broken }},
		}, time.Minute)
		require.ErrorIs(t, err, broken)
		require.ErrorContains(t, err, "routes ended")
	})
}

func TestStagesThatHangAreLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		err := runStages(ctx, []stage{{"sink", func(context.Context) error { <-release; return nil }}}, 15*time.Second)
		require.ErrorContains(t, err, "sink did not stop within 15s")
		assert.Equal(t, 15*time.Second, time.Since(start))
		close(release)
	})
}

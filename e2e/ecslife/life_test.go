package ecslife

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
)

type body struct {
	ID     string
	Time   time.Time
	Type   string `json:"detail-type"`
	Detail struct {
		TaskArn, LastStatus, StartedBy, Group string
		Version                               int
		StoppedAt, ExecutionStoppedAt         time.Time
	}
}

func read(t *testing.T, bodies []string) []body {
	t.Helper()
	all := make([]body, len(bodies))
	for i := range bodies {
		require.NoError(t, json.Unmarshal([]byte(bodies[i]), &all[i]), bodies[i])
	}
	return all
}

// Every task's versions rise from 1 without a hole, and a task that ends is told as STOPPED, before now.
func TestLivesAreWhole(t *testing.T) {
	a := awsfake.New(awsfake.Options{})
	now := time.Now()
	lives := append(All(a), Churn(a, "jobs", 3))
	for _, life := range lives {
		t.Run(life.Name, func(t *testing.T) {
			require.NotEmpty(t, life.Tasks)
			versions, ended := map[string]int{}, []string{}
			for _, e := range read(t, life.Bodies) {
				assert.WithinDuration(t, now, e.Time, 11*time.Minute)
				assert.False(t, e.Time.After(now.Add(time.Minute)), "%s is to come", e.Time)
				if e.Type != "ECS Task State Change" {
					continue
				}
				assert.Equal(t, versions[e.Detail.TaskArn]+1, e.Detail.Version)
				versions[e.Detail.TaskArn]++
				if e.Detail.LastStatus == "STOPPED" {
					ended = append(ended, e.Detail.TaskArn)
				}
			}
			assert.ElementsMatch(t, life.Tasks, ended)
		})
	}
	assert.Len(t, lives[len(lives)-1].Bodies, 3*6)
	assert.WithinDuration(t, time.Now(), a.Now(), 5*time.Second, "the clock is set back")
}

func TestDisorder(t *testing.T) {
	a := awsfake.New(awsfake.Options{})
	bodies := Churn(a, "jobs", 5).Bodies
	got := Disorder(3, 10, bodies)
	require.Len(t, got, len(bodies)+10)
	assert.Equal(t, got, Disorder(3, 10, bodies))
	assert.NotEqual(t, got, Disorder(4, 10, bodies))
	seen, ids := map[string]int{}, map[string]bool{}
	for _, e := range read(t, got) {
		ids[e.ID] = true
		raw, err := json.Marshal(e.Detail)
		require.NoError(t, err)
		seen[string(raw)]++
	}
	assert.Len(t, ids, len(got), "a copy has an id of its own")
	assert.Len(t, seen, len(bodies))
	assert.False(t, slices.Equal(got[:len(bodies)], bodies))
}

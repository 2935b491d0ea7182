package event

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fitted appends the event, expects it to be cut, and returns what a reader gets.
func fitted(t *testing.T, e *Event) Event {
	t.Helper()
	b, err := Append(nil, e)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), MaxSize)
	back, err := Decode(b)
	require.NoError(t, err)
	require.Equal(t, e.ID, back.ID)
	again, err := Append(nil, &back)
	require.NoError(t, err)
	require.Equal(t, string(b), string(again))
	return back
}

func TestFitCutsTheOldestLogLinesFirst(t *testing.T) {
	e := stop()
	e.Data.Task.Log.Lines = nil
	for i := range 2000 {
		e.Data.Task.Log.Lines = append(e.Data.Task.Log.Lines, fmt.Sprintf("%04d %s", i, strings.Repeat("x", 60)))
	}
	back := fitted(t, &e)
	require.Equal(t, []string{"task.log"}, back.Data.Truncated)
	lines := back.Data.Task.Log.Lines
	require.Equal(t, e.Data.Task.Log.Lines[2000-len(lines):], lines, "the newest lines stay")
	require.Greater(t, len(lines), 800)
	require.True(t, back.Data.Task.Log.Cut)
	require.Equal(t, e.Data.Labels, back.Data.Labels)

	require.Len(t, e.Data.Task.Log.Lines, 2000, "the event of the caller is as it was")
	require.Empty(t, e.Data.Truncated)
	require.False(t, e.Data.Task.Log.Cut)
}

func TestFitCutsInOrderOfWorth(t *testing.T) {
	huge := strings.Repeat("\"é", MaxSize/4)
	for want, grow := range map[string]func(d *Data){
		"task.log":                                      func(d *Data) { d.Task.Log.Lines = []string{huge} },
		"task.log labels":                               func(d *Data) { d.Labels["huge"] = huge },
		"task.log labels native.record":                 func(d *Data) { d.Native.Record = huge },
		"labels":                                        func(d *Data) { d.Task.Log = nil; d.Labels["huge"] = huge },
		"task.log labels cause.evidence":                func(d *Data) { d.Cause.Evidence = []string{huge} },
		"task.log labels cause.evidence data":           func(d *Data) { d.Message = huge },
		"task.log labels task.containers.health_output": func(d *Data) { d.Task.Containers[0].HealthOutput = huge },
	} {
		t.Run(want, func(t *testing.T) {
			e := stop()
			grow(&e.Data)
			back := fitted(t, &e)
			require.Equal(t, strings.Fields(want), back.Data.Truncated)
			require.Equal(t, "exit.error", back.Data.Cause.Class)
			require.Equal(t, e.Data.Task.Run, back.Data.Task.Run)
			if _, grew := e.Data.Labels["huge"]; grew {
				require.Equal(t, "payments", back.Data.Labels["team"], "the largest label goes first")
			}
		})
	}
}

func TestFitBoundsAnything(t *testing.T) {
	worst := strings.Repeat("\x01", 2000)
	var e Event
	fillWorst(reflect.ValueOf(&e).Elem(), worst)
	attribute := strings.Repeat("\"", maxAttribute)
	e.ID, e.Source, e.Type, e.Time = attribute, attribute, Type(attribute), time.Unix(1, 1)
	e.Subject, e.PartitionKey, e.Sequence, e.CausationID, e.TraceParent = attribute, attribute, attribute, attribute, attribute
	b, err := Append(nil, &e)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), MaxSize)
	back, err := Decode(b)
	require.NoError(t, err)
	require.Contains(t, back.Data.Truncated, "data")
}

func fillWorst(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int64, reflect.Int32:
		v.SetInt(math.MinInt32)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillWorst(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 40, 40))
		for i := range v.Len() {
			fillWorst(v.Index(i), text)
		}
	case reflect.Map:
		labels := map[string]string{}
		for i := range 40 {
			labels[fmt.Sprint(i)] = text
		}
		v.Set(reflect.ValueOf(labels))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 123456789)))
			return
		}
		for _, field := range v.Fields() {
			fillWorst(field, text)
		}
	}
}

func TestClipTextKeepsCharactersWhole(t *testing.T) {
	require.Equal(t, "short", clipText("short", 5))
	require.Equal(t, "ab…", clipText("abéééé", 6))
	require.Equal(t, "abé…", clipText("abéééé", 7))
}

package event

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// The append encoder is written by hand, so it must say what the json tags say. A field that was added
// to a struct and forgotten in the encoder fails here.
func TestEncoderFollowsTheTags(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 500 {
		var d Data
		fill(reflect.ValueOf(&d).Elem(), r, round == 0)
		var w writer
		w.data(&d)
		got := jsontext.Value(w.b)
		want, err := json.Marshal(d)
		require.NoError(t, err)
		var back Data
		require.NoError(t, json.Unmarshal(got, &back))
		require.Equal(t, d, back)
		require.NoError(t, got.Canonicalize())
		require.NoError(t, (*jsontext.Value)(&want).Canonicalize())
		require.Equal(t, string(want), string(got))
	}
}

// fill sets every field, or each with even chances, to a value that JSON can hold.
func fill(v reflect.Value, r *rand.Rand, all bool) {
	if !all && v.Kind() != reflect.Struct && r.IntN(2) == 0 {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(r.Int64N(1e10), r.Int64N(1e9)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		texts := []string{"a", "x\"\\\n\x00\u2028é☠🙂<>", "\x7f/", "long long long"}
		v.SetString(texts[r.IntN(len(texts))])
	case reflect.Float64:
		v.SetFloat(r.Float64() * math.Pow(10, float64(r.IntN(60)-30)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(r.Int64N(1<<53) - 1<<52)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), r, all)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 3))
		for i := range v.Len() {
			fill(v.Index(i), r, all)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"b": "2", "a": "1", "é\"": ""}))
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, r, all)
		}
	default:
		panic("no value for " + v.Type().String())
	}
}

func TestAppendIsDeterministicAndClean(t *testing.T) {
	e := stop()
	e.Subject = "a\x00b\u0085c\xffd\uffffe\"f"
	e.Data.Message = "bad \xff\xfe utf8 \x1b[31m"
	e.Data.Labels = map[string]string{"\xff": "1", "\xfe": "2", "z": "3", "\ufffd": "4", "a\tb": "\x01"}
	first, err := Append(nil, &e)
	require.NoError(t, err)
	for range 20 {
		again, err := Append(nil, &e)
		require.NoError(t, err)
		require.Equal(t, string(first), string(again))
	}
	back, err := Decode(first)
	require.NoError(t, err)
	require.Equal(t, "a\ufffdb\ufffdc\ufffdd\ufffde\"f", back.Subject)
	require.Equal(t, "bad \ufffd\ufffd utf8 \x1b[31m", back.Data.Message)
	require.Equal(t, map[string]string{"\ufffd": "4", "z": "3", "a\tb": "\x01"}, back.Data.Labels)
}

func TestAppendLeavesOutTimesThatCannotBeWritten(t *testing.T) {
	e := stop()
	e.Data.Task.Times = Times{Created: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}
	b, err := Append(nil, &e)
	require.NoError(t, err)
	require.NotContains(t, string(b), `"times"`)
	e.Time = time.Date(2026, 11, 3, 3, 0, 0, 5, time.FixedZone("CET", 3600))
	b, err = Append(nil, &e)
	require.NoError(t, err)
	require.Contains(t, string(b), `"time":"2026-11-03T02:00:00.000000005Z"`)
}

func TestAppendRefusesWhatIsNoCloudEvent(t *testing.T) {
	long := string(make([]byte, 400)) // each byte becomes the three of U+FFFD
	for want, change := range map[string]func(e *Event){
		"id is missing":                            func(e *Event) { e.ID = "" },
		"source is missing":                        func(e *Event) { e.Source = "" },
		"type is missing":                          func(e *Event) { e.Type = "" },
		"time is missing":                          func(e *Event) { e.Time = time.Time{} },
		"time is missing or":                       func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"subject is 1200 bytes long, at most 1024": func(e *Event) { e.Subject = long },
	} {
		e := stop()
		change(&e)
		b, err := Append([]byte("kept"), &e)
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, want)
		require.Equal(t, "kept", string(b))
	}
}

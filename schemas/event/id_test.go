package event

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Frozen: ids are document ids in indices of years, so these never change.
func TestNewIDIsFrozen(t *testing.T) {
	for want, parts := range map[string][]string{
		"4oymiquy7qobjgx36tejs35zeqt24qpe": {},
		"v5kxb5nbqefxv54mv5f4octgb4g7khsc": {""},
		"dcyydvbjxoxxwyvw7quhquyimtr6vp5g": {"docker", "engine-7", "4f2c", "die", "1793672047123456789"},
		"senccc4nmyhv4oh37wia7g3vpiqowjox": {"ecs", "arn:aws:ecs:eu-west-1:123456789012:task/prod/0c1d", "7"},
		"h7st54qy3hbzortt5xb4ipeazep2yrx2": {"ü", "\x00", strings.Repeat("x", 5000)},
	} {
		require.Equal(t, want, NewID(parts...), parts)
	}
	require.NotEqual(t, NewID("ab", "c"), NewID("a", "bc"))
	require.NotEqual(t, NewID("a"), NewID("a", ""))
}

func TestTokenIsFrozen(t *testing.T) {
	for name, want := range map[string]string{
		"":                              "_",
		"_":                             "=5F",
		"__":                            "__",
		"web-1_A":                       "web-1_A",
		"a.b c*>":                       "a=2Eb=20c=2A=3E",
		"=41":                           "=3D41",
		"é":                             "=C3=A9",
		"\xff\n":                        "=FF=0A",
		strings.Repeat("x", 64):         strings.Repeat("x", 64),
		strings.Repeat("x", 65):         strings.Repeat("x", 48) + "=hsu34l7prebec6",
		strings.Repeat("é", 2048):       strings.Repeat("=C3=A9", 8) + "=hvtkst5geub5ak",
		"a" + strings.Repeat("é", 2048): "a" + strings.Repeat("=C3=A9", 7) + "=C3" + "=h4iaisaq6ozvay",
	} {
		require.Equal(t, want, Token(name))
	}
}

func TestSubjectAndSourceStayShortAndTellNamesApart(t *testing.T) {
	long := strings.Repeat("/=é", 1400)
	subject := SubjectOf(long, long+"x", long+"y")
	require.Less(t, len(subject), maxAttribute)
	parts := strings.Split(subject, "/")
	require.Len(t, parts, 3)
	require.NotEqual(t, parts[0], parts[1])
	require.NotEqual(t, parts[1], parts[2])
	require.Equal(t, "a=2Fb/c=3D2F/d", SubjectOf("a/b", "c=2F", "d"))
	require.Equal(t, "//", SubjectOf("", "", ""))
	require.Less(t, len(SourceOf(long, Docker, long)), maxAttribute)
	require.Equal(t, "bellbuoy://prod=2Eeu/docker/_", SourceOf("prod.eu", Docker, ""))
}

func TestNATSSubject(t *testing.T) {
	e := stop()
	require.Equal(t, fmt.Sprintf("bellbuoy.events.v1.prod-eu.docker.shop.task.stopped.web.%02d", Shard(e.PartitionKey)), NATSSubject(&e))
	require.Equal(t, "bellbuoy.events.v1._._._._._._.05", NATSSubject(&Event{}))
	seen := map[int]int{}
	for i := range 16000 {
		seen[Shard(fmt.Sprint("shop/web/", i))]++
	}
	require.Len(t, seen, 16)
	for shard, n := range seen {
		require.InDelta(t, 1000, n, 250, "shard %d", shard)
	}
}

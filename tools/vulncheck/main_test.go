package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const stream = `{"config":{"scanner_name":"govulncheck"}}
{"osv":{"id":"GO-1","summary":"Reads past the end"}}
{"finding":{"osv":"GO-1","fixed_version":"v1.2.0","trace":[{"module":"m","version":"v1.1.0"}]}}
{"finding":{"osv":"GO-1","fixed_version":"v1.2.0","trace":[{"module":"m","version":"v1.1.0","package":"m/p","function":"F"},{"module":"ours"}]}}
{"finding":{"osv":"GO-1","fixed_version":"v1.2.0","trace":[{"module":"m","version":"v1.1.0","package":"m/p","function":"G"}]}}
{"finding":{"osv":"GO-2","trace":[{"module":"n","version":"v1.0.0","package":"n"}]}}
`

func TestJudge(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		accepted string
		want     string // part of the only problem; empty: none
	}{
		"reachable":      {"", "GO-1 in m@v1.1.0 (fixed in v1.2.0), reached through m/p.F: Reads past the end"},
		"accepted":       {"# why\nGO-1 2026-03-10 only in tests", ""},
		"expired":        {"GO-1 2026-03-08 only in tests", "expired"},
		"no longer used": {"GO-1 2026-04-01 x\nGO-2 2026-04-01 not called", "GO-2 is accepted but not found"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := parseFindings(strings.NewReader(stream))
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := parseAccepted(tt.accepted)
			if err != nil {
				t.Fatal(err)
			}
			problems := judge(found, accepted, now)
			if (tt.want == "") != (len(problems) == 0) || len(problems) > 1 || !strings.Contains(strings.Join(problems, ""), tt.want) {
				t.Errorf("got %q, want %q", problems, tt.want)
			}
		})
	}
}

func TestParseAcceptedRefuses(t *testing.T) {
	for _, text := range []string{"GO-1", "GO-1 2026-03-10", "GO-1 soon because"} {
		if _, err := parseAccepted(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestBrokenAnswer(t *testing.T) {
	if _, err := parseFindings(strings.NewReader(`{"finding":`)); err == nil {
		t.Error("half an answer was taken for no findings")
	}
}

func TestRunFailsWithTheTool(t *testing.T) {
	t.Setenv("BELLBUOY_VULNDB", "file:///nowhere")
	accept := filepath.Join(t.TempDir(), "accepted.txt")
	if err := os.WriteFile(accept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run("false", accept, false, nil); err == nil {
		t.Error("a govulncheck that failed was taken for no findings")
	}
}

func TestStandardLibrary(t *testing.T) {
	modules, toolchain := split([]finding{{id: "GO-1", module: "m"}, {id: "GO-2", module: "stdlib"}})
	if len(modules) != 1 || modules[0].id != "GO-1" || len(toolchain) != 1 || toolchain[0].id != "GO-2" {
		t.Errorf("modules %v, Go itself %v", modules, toolchain)
	}
}

package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSummary(t *testing.T) {
	const (
		run  = `{"Action":"run","Package":"p","Test":"TestA"}` + "\n"
		said = `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: no docker\n"}` + "\n"
	)
	tests := map[string]struct {
		in   string
		err  error
		code int
		want []string
	}{
		"pass": {
			run + said + `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}` + "\n", nil, 0,
			[]string{"ok  \tp\t0.1s\n", "\n1 passed, 0 failed, 0 skipped\n"},
		},
		"skip": {
			run + said + `{"Action":"skip","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p","Test":"TestB"}` + "\n", nil, 0,
			[]string{"skipped: TestA (p): a_test.go:1: no docker\n", "1 passed, 0 failed, 1 skipped\n"},
		},
		"fail": {
			run + said + `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n", errors.New("exit 1"), 1,
			[]string{"no docker\n", "failed: p TestA\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		"panic": {
			run + said + `{"Action":"fail","Package":"p"}` + "\n", errors.New("exit 1"), 1,
			[]string{"no docker\n", "failed: p TestA (did not end)\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		"build": {
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"a.go:1: broken\n"}` + "\n" + `{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}` + "\n", errors.New("exit 1"), 1,
			[]string{"a.go:1: broken\n", "failed: p (the package itself)\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		"nothing":  {"", nil, 1, []string{"no test ran", "0 passed, 0 failed, 0 skipped\n"}},
		"no start": {"go: no such flag\n", errors.New("exit 2"), 1, []string{"go: no such flag\n", "0 passed, 1 failed, 0 skipped\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			s := &summary{out: &out, output: map[string][]string{}, running: map[string]map[string]bool{}, build: map[string][]string{}}
			if err := s.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if code := s.end(tt.err, time.Second); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out.String())
				}
			}
		})
	}
}

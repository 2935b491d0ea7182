package process_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/e2e/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(t *testing.T, script string) (*process.Process, string) {
	t.Helper()
	dir := t.TempDir()
	p, err := process.Start(process.Spec{Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, Log: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p, dir
}

func exists(path string) func(context.Context) error {
	return func(context.Context) error {
		_, err := os.Stat(path)
		return err
	}
}

func TestStopLetsTheProcessFinish(t *testing.T) {
	p, dir := shell(t, `trap 'touch finished; exit' TERM; touch ready; while :; do read -t 1 x </dev/zero; done`)
	if err := p.Await(t.Context(), exists(filepath.Join(dir, "ready"))); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := exists(filepath.Join(dir, "finished"))(t.Context()); err != nil {
		t.Fatalf("the trap did not run: %v", err)
	}
}

func TestStopKillsWhatIgnoresIt(t *testing.T) {
	p, dir := shell(t, `trap '' TERM; touch ready; exec sleep 60`)
	if err := p.Await(t.Context(), exists(filepath.Join(dir, "ready"))); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(100 * time.Millisecond); err == nil {
		t.Fatal("Stop did not say that it had to kill")
	}
	<-p.Exited()
}

func TestAwaitTellsOfAnEarlyEnd(t *testing.T) {
	p, _ := shell(t, `echo cannot bind; exit 1`)
	never := errors.New("connection refused")
	err := p.Await(t.Context(), func(context.Context) error { return never })
	if !errors.Is(err, never) || !strings.Contains(err.Error(), "cannot bind") || !strings.Contains(err.Error(), "it has ended") {
		t.Fatalf("got %v", err)
	}
}

package harness

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// Lend runs f with servers outside of a test, for a program that measures. The handle that f gets fails and
// skips as a test's does; Lend then returns that as an error. Servers run until Close.
func (s *Stand) Lend(ctx context.Context, f func(t testing.TB)) error {
	ctx, cancel := context.WithCancel(ctx)
	l := &loan{ctx: ctx}
	done := make(chan struct{})
	go func() { // Fatal ends the goroutine
		defer close(done)
		defer func() {
			cancel()
			for _, c := range slices.Backward(l.cleanups) {
				c()
			}
		}()
		f(l)
	}()
	<-done
	return l.err
}

// Close ends all servers that were lent.
func (s *Stand) Close() error { return s.close() }

// loan is a testing.TB without a test: what this package does not call is nil.
type loan struct {
	testing.TB

	ctx      context.Context //nolint:containedctx // a testing.TB has one
	cleanups []func()
	err      error
}

func (l *loan) Helper()                  {}
func (l *loan) Name() string             { return "outside of a test" }
func (l *loan) Context() context.Context { return l.ctx }
func (l *loan) Cleanup(f func())         { l.cleanups = append(l.cleanups, f) }

func (l *loan) Error(args ...any) { l.err = errors.Join(l.err, errors.New(fmt.Sprint(args...))) }

func (l *loan) Errorf(format string, args ...any) {
	l.err = errors.Join(l.err, fmt.Errorf(format, args...))
}

func (l *loan) Fatal(args ...any) {
	l.Error(args...)
	runtime.Goexit()
}

func (l *loan) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	runtime.Goexit()
}

func (l *loan) Skip(args ...any) { l.Fatal(args...) }

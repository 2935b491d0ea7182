package natsserver

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

var _ server.Logger = (*logAdapter)(nil)

// logAdapter hands the server's log lines to slog. The server calls Fatalf when it can't start and goes on
// as a half-started server, so the first such line is kept for Start.
type logAdapter struct {
	log   *slog.Logger
	fatal chan string
}

func newLogAdapter(log *slog.Logger) *logAdapter {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &logAdapter{log: log, fatal: make(chan string, 1)}
}

// Noticef logs at debug: the server's notices tell its developers how it starts, not operators what to do.
func (l *logAdapter) Noticef(format string, v ...any) {
	l.log.Debug("nats server notice", "detail", fmt.Sprintf(format, v...))
}

// Warnf logs a warning.
func (l *logAdapter) Warnf(format string, v ...any) {
	l.log.Warn("nats server warning", "detail", fmt.Sprintf(format, v...))
}

// Errorf logs an error.
func (l *logAdapter) Errorf(format string, v ...any) {
	l.log.Error("nats server error", "detail", fmt.Sprintf(format, v...))
}

// Fatalf keeps the reason for Start.
func (l *logAdapter) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
		l.Errorf(format, v...)
	}
}

// Debugf drops the line.
func (l *logAdapter) Debugf(string, ...any) {}

// Tracef drops the line, which would hold payloads.
func (l *logAdapter) Tracef(string, ...any) {}

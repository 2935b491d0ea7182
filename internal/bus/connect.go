package bus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// minMajor and minMinor are the oldest server line with fast-ingest batches and without the
// authentication bypasses fixed before it.
const minMajor, minMinor = 2, 14

// Bus is one connection to JetStream and what is built on it.
type Bus struct {
	o       Options
	where   string
	nc      *nats.Conn
	js      jetstream.JetStream
	metrics *metrics

	mu sync.Mutex
	// refusal is what the server last said about permissions; it explains later timeouts.
	refusal error
	// reconnected is closed and replaced at each reconnect, so that waiting pulls ask again at once.
	reconnected chan struct{}
}

// Connect connects to the server and checks that it is one that this program can work with. It does not
// wait for a server that is away.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	opts, err := o.connection()
	if err != nil {
		return nil, err
	}
	b := &Bus{o: o, where: describe(o.URL), reconnected: make(chan struct{})}
	opts = append(opts, nats.ErrorHandler(b.asyncError), nats.ReconnectHandler(b.onReconnect), nats.DisconnectErrHandler(b.onDisconnect))
	if b.nc, err = nats.Connect(o.URL, opts...); err != nil {
		return nil, connectError(b.where, err)
	}
	if err := b.check(ctx); err != nil {
		b.nc.Close()
		return nil, err
	}
	if b.metrics, err = newMetrics(o.Registerer); err != nil {
		b.nc.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bus) check(ctx context.Context) error {
	version := b.nc.ConnectedServerVersion()
	if !supported(version) {
		return fmt.Errorf("connect to NATS at %s: server version %s is too old; %d.%d or newer is needed", b.where, version, minMajor, minMinor)
	}
	var err error
	if b.js, err = jetstream.New(b.nc); err != nil {
		return fmt.Errorf("use JetStream at %s: %w", b.where, err)
	}
	if b.o.Manage == Off { // a user with rights to publish only may not ask
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err = b.js.AccountInfo(ctx)
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("JetStream is not enabled on %s (for this account): enable it there, or leave nats.url empty to use the embedded server: %w", b.where, err)
	}
	if err != nil {
		return fmt.Errorf("ask %s for JetStream (a user without that right needs nats.manage: off): %w", b.where, errors.Join(err, b.refused()))
	}
	return nil
}

// Close sends what is buffered and closes the connection. Publishers and consumers should have ended.
func (b *Bus) Close() {
	if b.nc.IsConnected() {
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		defer cancel()
		if err := b.nc.FlushWithContext(ctx); err != nil {
			b.o.Logger.Warn("last acknowledgements may be lost", "err", err)
		}
	}
	b.nc.Close()
	b.metrics.unregister()
}

// Health returns why the bus can't be used at the moment, or nil.
func (b *Bus) Health() error {
	if b.nc.IsConnected() {
		return nil
	}
	if err := b.nc.LastError(); err != nil {
		return fmt.Errorf("not connected to NATS at %s: %w", b.where, err)
	}
	return fmt.Errorf("not connected to NATS at %s", b.where)
}

func (b *Bus) onReconnect(*nats.Conn) {
	b.o.Logger.Info("connected to nats again", "server", b.where)
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.reconnected)
	b.reconnected = make(chan struct{})
}

// nextReconnect is closed at the next reconnect.
func (b *Bus) nextReconnect() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reconnected
}

func (b *Bus) onDisconnect(_ *nats.Conn, err error) {
	if err != nil {
		b.o.Logger.Warn("nats connection lost", "server", b.where, "err", err)
	}
}

func (b *Bus) asyncError(_ *nats.Conn, _ *nats.Subscription, err error) {
	b.o.Logger.Warn("nats reports an error", "server", b.where, "err", err)
	if errors.Is(err, nats.ErrPermissionViolation) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.refusal = err
	}
}

func (b *Bus) refused() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusal
}

// connectError adds what to do; the client's own errors name neither the address nor the setting.
func connectError(where string, err error) error {
	hint := "is it running, and is nats.url right?"
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		hint = "check nats.creds, nats.nkey or the user in nats.url"
	case strings.Contains(err.Error(), "tls:"), strings.Contains(err.Error(), "x509:"), errors.Is(err, nats.ErrSecureConnRequired):
		hint = "check nats.tls"
	}
	return fmt.Errorf("connect to NATS at %s (%s): %w", where, hint, err)
}

// describe names the server in logs and errors, without passwords or tokens.
func describe(urls string) string {
	if urls == "" {
		return "the embedded server"
	}
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		scheme, rest, ok := strings.Cut(part, "://")
		if !ok {
			scheme, rest = "nats", part
		}
		if u, err := url.Parse(scheme + "://" + rest); err == nil && u.Host != "" {
			parts[i] = u.Scheme + "://" + u.Host
			continue
		}
		parts[i] = scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return strings.Join(parts, ",")
}

func supported(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	x, err := strconv.Atoi(major)
	if err != nil {
		return false
	}
	y, err := strconv.Atoi(minor)
	return err == nil && (x > minMajor || x == minMajor && y >= minMinor)
}

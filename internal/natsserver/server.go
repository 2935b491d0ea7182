package natsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// relaxedSync bounds what a power cut takes when the store is not strict. It runs in the background
	// and costs publishers nothing that could be measured.
	relaxedSync = time.Second
	// lameDuck is the time over which remote clients are sent away, grace the time before the first goes.
	lameDuck = 2 * time.Second
	grace    = 200 * time.Millisecond
	// batchesInFlight is how many batches of all publishers the stream stages at once; the server's own
	// default of 50 refuses a burst of agents.
	batchesInFlight = 250
	maxPayload      = 1 << 20
	maxMemoryStore  = 64 << 20
)

// Options configures a server.
type Options struct {
	// Dir holds the store; it is created with mode 0700.
	Dir string
	// Listen is the address for remote clients, such as 127.0.0.1:4222; port 0 takes a free one. Empty or
	// "off" serves this process alone.
	Listen string
	// Strict syncs the disk before each acknowledgement.
	Strict bool
	// MaxStore bounds the store in bytes; 0 takes nine tenths of what the volume has for it.
	MaxStore int64
	// Logger gets the server's warnings and errors; nil discards them.
	Logger *slog.Logger
}

// Server is a running NATS server.
type Server struct {
	srv      *server.Server
	dir      string
	lock     *storeLock
	maxStore int64
}

// Start starts a server and waits until it takes requests or ctx ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	host, port, err := listenAddress(o.Listen)
	if err != nil {
		return nil, err
	}
	lock, err := openStore(o.Dir)
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, o, host, port)
	if err != nil {
		lock.release()
		return nil, err
	}
	s.lock = lock
	if err := writeMarker(o.Dir); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

func start(ctx context.Context, o Options, host string, port int) (*Server, error) {
	maxStore := o.MaxStore
	if maxStore <= 0 {
		var err error
		if maxStore, err = spaceFor(o.Dir); err != nil {
			return nil, err
		}
	}
	srv, err := server.NewServer(serverOptions(o, host, port, maxStore))
	if err != nil {
		return nil, fmt.Errorf("configure the NATS server: %w", err)
	}
	log := newLogAdapter(o.Logger)
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	if err := awaitReady(ctx, srv, log); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, err
	}
	return &Server{srv: srv, dir: o.Dir, maxStore: maxStore}, nil
}

func serverOptions(o Options, host string, port int, maxStore int64) *server.Options {
	opts := &server.Options{
		ServerName:          "bellbuoy",
		Host:                host,
		Port:                port,
		DontListen:          host == "",
		NoSigs:              true,
		JetStream:           true,
		StoreDir:            o.Dir,
		JetStreamMaxStore:   maxStore,
		JetStreamMaxMemory:  maxMemoryStore,
		MaxPayload:          maxPayload,
		LameDuckDuration:    lameDuck,
		LameDuckGracePeriod: grace,
		JetStreamLimits:     server.JSLimitOpts{MaxBatchInflightPerStream: batchesInFlight},
		SyncAlways:          o.Strict,
		// The banner is for people who started a NATS server on purpose.
		DisableJetStreamBanner: true,
	}
	if !o.Strict {
		opts.SyncInterval = relaxedSync
	}
	return opts
}

// awaitReady returns as soon as the server is ready, has said why it never will be, or ctx ends.
func awaitReady(ctx context.Context, srv *server.Server, log *logAdapter) error {
	for {
		select {
		case reason := <-log.fatal:
			return fmt.Errorf("start the NATS server: %s", reason)
		case <-ctx.Done():
			return fmt.Errorf("start the NATS server: %w", ctx.Err())
		default:
		}
		if srv.ReadyForConnections(50 * time.Millisecond) {
			return nil
		}
	}
}

// listenAddress splits and tries the address, because the server itself only logs that it is taken. An
// empty host means that nothing listens.
func listenAddress(listen string) (host string, port int, err error) {
	if listen == "" || listen == "off" {
		return "", 0, nil
	}
	const key = "nats.embedded.listen"
	host, text, err := net.SplitHostPort(listen)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%s: %q is not an address; write host:port such as 127.0.0.1:4222, or off", key, listen)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if port == 0 {
		return host, server.RANDOM_PORT, nil
	}
	probe, err := net.Listen("tcp", net.JoinHostPort(host, text)) //nolint:noctx // does not wait
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", 0, fmt.Errorf("listen on %s: another program has this address (a second bellbuoy, or a NATS server?); "+
			"set %s to another address or to off: %w", listen, key, err)
	}
	if err != nil {
		return "", 0, fmt.Errorf("listen on %s (%s): %w", listen, key, err)
	}
	return host, port, probe.Close()
}

// Conn gives connections that stay within this process.
func (s *Server) Conn() nats.InProcessConnProvider { return s.srv }

// ClientURL is where remote clients connect; empty if nothing listens.
func (s *Server) ClientURL() string {
	if s.srv.Addr() == nil {
		return ""
	}
	return s.srv.ClientURL()
}

// MaxStore is the bound of the store in bytes.
func (s *Server) MaxStore() int64 { return s.maxStore }

// Healthz returns why the server can't serve or store, or nil.
func (s *Server) Healthz() error {
	status := s.srv.Healthz(nil)
	if status.Status == "ok" {
		return nil
	}
	return fmt.Errorf("NATS server is not healthy: %s: %s", status.Status, status.Error)
}

// Shutdown sends remote clients away, stops the server and returns when the store is closed. The
// connections of this process should be drained before.
func (s *Server) Shutdown() {
	if s.srv.Addr() != nil && s.remoteClients() > 0 {
		s.srv.LameDuckShutdown()
	} else {
		s.srv.Shutdown()
	}
	s.srv.WaitForShutdown()
	if s.lock != nil {
		s.lock.release()
	}
}

// remoteClients counts connections that came over the listener; those of this process have no port.
func (s *Server) remoteClients() int {
	conns, err := s.srv.Connz(nil)
	if err != nil {
		return 0
	}
	remote := 0
	for _, c := range conns.Conns {
		if c.Port != 0 {
			remote++
		}
	}
	return remote
}

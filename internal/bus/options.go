package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/natsserver"
)

// Durability says what an acknowledged event survives.
type Durability string

// Strict events survive a power cut, and the publisher commits them in groups. Relaxed events survive the
// end of the process, and a power cut takes the last second.
const (
	Strict  Durability = "strict"
	Relaxed Durability = "relaxed"
)

// Manage says what Setup may do to streams and buckets.
type Manage string

// Auto creates and updates, Check only compares, Off does nothing at all.
const (
	Auto  Manage = "auto"
	Check Manage = "check"
	Off   Manage = "off"
)

// TLS names PEM files; all may be empty.
type TLS struct {
	// CA verifies the server; empty means the system's roots.
	CA string
	// Cert and Key are the client's own; both or neither.
	Cert, Key string
}

// Options configures a Bus.
type Options struct {
	// URL is the server, or several with commas. Empty connects to Server in process.
	URL    string
	Server *natsserver.Server
	// Creds and NKey name files: a credentials file, or a seed. At most one.
	Creds, NKey string
	TLS         TLS
	// Name is how the server's operator sees this connection; default bellbuoy.
	Name string
	// Durability is Strict by default.
	Durability Durability
	// Manage is Auto by default.
	Manage Manage
	// Replicas of each stream and bucket; 0 makes 1 and accepts what is there.
	Replicas int
	// Logger: nil discards. Registerer: nil exports nothing.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

const (
	connectTimeout = 5 * time.Second
	// reconnectWait and its jitter spread the agents of a fleet that lost the same server.
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 750 * time.Millisecond
	pingInterval    = 10 * time.Second
)

func (o Options) withDefaults() (Options, error) {
	if o.URL == "" && o.Server == nil {
		return o, errors.New("connect to NATS: nats.url is empty and there is no embedded server")
	}
	if o.Creds != "" && o.NKey != "" {
		return o, errors.New("connect to NATS: nats.creds and nats.nkey are both set; keep one")
	}
	if (o.TLS.Cert == "") != (o.TLS.Key == "") {
		return o, errors.New("connect to NATS: nats.tls.cert and nats.tls.key belong together; set both or neither")
	}
	if o.Name == "" {
		o.Name = "bellbuoy"
	}
	if o.Durability == "" {
		o.Durability = Strict
	}
	if o.Manage == "" {
		o.Manage = Auto
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// connection returns the options of the NATS client.
func (o Options) connection() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// A rotated credential must not end the connection for good.
		nats.IgnoreAuthErrorAbort(),
		// Nothing is sent later behind our back: what did not go out is the publisher's to send again.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
	}
	if o.URL == "" {
		return append(opts, nats.InProcessServer(o.Server.Conn())), nil
	}
	if o.Creds != "" {
		if _, err := os.Stat(o.Creds); err != nil {
			return nil, fmt.Errorf("read nats.creds: %w", err)
		}
		opts = append(opts, nats.UserCredentials(o.Creds))
	}
	if o.NKey != "" {
		nkey, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("read the seed in nats.nkey: %w", err)
		}
		opts = append(opts, nkey)
	}
	secure, err := o.TLS.config()
	if err != nil {
		return nil, err
	}
	if secure != nil {
		opts = append(opts, nats.Secure(secure))
	}
	return opts, nil
}

func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read nats.tls.ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read nats.tls.ca: %s holds no PEM certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read nats.tls.cert and nats.tls.key: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

package bus_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
)

// external starts a NATS server as an operator would run one, and returns its URL.
func external(t *testing.T, o server.Options) string {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.StoreDir = "127.0.0.1", server.RANDOM_PORT, true, t.TempDir()
	s, err := server.NewServer(&o)
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(bustest.Wait))
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s.ClientURL()
}

// works publishes and consumes over a bus with these options.
func works(t *testing.T, o bus.Options) {
	t.Helper()
	b := bustest.Connect(t, o)
	bustest.Publish(t, b, bustest.Numbers(0, 100)...)
	c := consumer(t, b, bus.ConsumerConfig{Name: "search"})
	assert.Len(t, bustest.Fetch(t, c, 100), 100)
	require.NoError(t, b.Health())
}

func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func TestExternalServer(t *testing.T) {
	works(t, bus.Options{URL: external(t, server.Options{JetStream: true}), Durability: bus.Relaxed})
}

func TestExternalServerWithUser(t *testing.T) {
	url := external(t, server.Options{JetStream: true, Users: []*server.User{{Username: "bell", Password: "buoy-secret"}}})
	host := strings.TrimPrefix(url, "nats://")
	works(t, bus.Options{URL: "nats://bell:buoy-secret@" + host})

	_, err := bus.Connect(t.Context(), bus.Options{URL: "nats://bell:wrong-secret@" + host})
	require.ErrorContains(t, err, host)
	require.ErrorContains(t, err, "check nats.creds, nats.nkey or the user in nats.url")
	assert.NotContains(t, err.Error(), "secret")
}

func TestExternalServerWithNKey(t *testing.T) {
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := user.PublicKey()
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	url := external(t, server.Options{JetStream: true, Nkeys: []*server.NkeyUser{{Nkey: public}}})
	works(t, bus.Options{URL: url, NKey: file(t, "user.nk", seed)})
}

func TestExternalServerWithCreds(t *testing.T) {
	key := func(create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		pair, err := create()
		require.NoError(t, err)
		public, err := pair.PublicKey()
		require.NoError(t, err)
		return pair, public
	}
	operator, operatorPublic := key(nkeys.CreateOperator)
	account, accountPublic := key(nkeys.CreateAccount)
	system, systemPublic := key(nkeys.CreateAccount)
	user, userPublic := key(nkeys.CreateUser)

	encode := func(claims jwt.Claims, by nkeys.KeyPair) string {
		token, err := claims.Encode(by)
		require.NoError(t, err)
		return token
	}
	accountClaims := jwt.NewAccountClaims(accountPublic)
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1, Streams: -1, Consumer: -1}
	resolver := &server.MemAccResolver{}
	require.NoError(t, resolver.Store(accountPublic, encode(accountClaims, operator)))
	require.NoError(t, resolver.Store(systemPublic, encode(jwt.NewAccountClaims(systemPublic), operator)))
	_ = system
	operatorClaims := jwt.NewOperatorClaims(operatorPublic)
	operatorClaims.SystemAccount = systemPublic
	trusted, err := jwt.DecodeOperatorClaims(encode(operatorClaims, operator))
	require.NoError(t, err)
	url := external(t, server.Options{
		JetStream: true, TrustedOperators: []*jwt.OperatorClaims{trusted}, SystemAccount: systemPublic, AccountResolver: resolver,
	})

	seed, err := user.Seed()
	require.NoError(t, err)
	creds, err := jwt.FormatUserConfig(encode(jwt.NewUserClaims(userPublic), account), seed)
	require.NoError(t, err)
	works(t, bus.Options{URL: url, Creds: file(t, "user.creds", creds)})
	_, err = bus.Connect(t.Context(), bus.Options{URL: url})
	require.ErrorContains(t, err, "nats.creds")
}

// certificate writes a certificate that vouches for itself, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bellbuoy test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(pair)
	require.NoError(t, err)
	return file(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		file(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

func TestExternalServerWithTLS(t *testing.T) {
	cert, key := certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	content, err := os.ReadFile(cert)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(content))
	url := external(t, server.Options{JetStream: true, TLSTimeout: 5, TLSVerify: true, TLS: true, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}})
	works(t, bus.Options{URL: url, TLS: bus.TLS{CA: cert, Cert: cert, Key: key}})

	_, err = bus.Connect(t.Context(), bus.Options{URL: url})
	require.ErrorContains(t, err, "check nats.tls")
}

// oldServer greets like a NATS server of another version: no such server can be run here, and the greeting
// is all that is looked at.
func oldServer(t *testing.T, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "INFO {\"server_id\":\"X\",\"version\":%q,\"headers\":true,\"jetstream\":true,\"max_payload\":1048576}\r\n", version)
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "PING") {
				fmt.Fprint(conn, "PONG\r\n")
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "nats://" + l.Addr().String()
}

func TestConnectErrorsSayWhatToDo(t *testing.T) {
	plain := external(t, server.Options{})
	old := oldServer(t, "2.11.4")
	embedded := bustest.Server(t, natsserver.Options{})
	cert, _ := certificate(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for name, tc := range map[string]struct {
		o    bus.Options
		want []string
	}{
		"away":         {bus.Options{URL: "nats://127.0.0.1:1"}, []string{"127.0.0.1:1", "is it running", "nats.url"}},
		"nothing":      {bus.Options{}, []string{"nats.url is empty"}},
		"no JetStream": {bus.Options{URL: plain}, []string{"JetStream is not enabled on " + plain, "nats.url empty"}},
		"old":          {bus.Options{URL: old}, []string{old, "2.11.4", "2.14 or newer"}},
		"no creds":     {bus.Options{URL: plain, Creds: missing}, []string{"nats.creds", missing}},
		"no nkey":      {bus.Options{URL: plain, NKey: missing}, []string{"nats.nkey", missing}},
		"no seed":      {bus.Options{URL: plain, NKey: file(t, "seed", []byte("nonsense"))}, []string{"nats.nkey"}},
		"both":         {bus.Options{URL: plain, NKey: missing, Creds: missing}, []string{"nats.creds and nats.nkey"}},
		"no CA":        {bus.Options{URL: plain, TLS: bus.TLS{CA: missing}}, []string{"nats.tls.ca", missing}},
		"odd CA":       {bus.Options{URL: plain, TLS: bus.TLS{CA: file(t, "ca", []byte("x"))}}, []string{"nats.tls.ca", "PEM"}},
		"half a pair":  {bus.Options{URL: plain, TLS: bus.TLS{Cert: cert}}, []string{"nats.tls.key"}},
		"no pair":      {bus.Options{URL: plain, TLS: bus.TLS{Cert: missing, Key: missing}}, []string{"nats.tls.cert", missing}},
		"odd embedded": {bus.Options{Server: embedded, Registerer: twice(t)}, []string{"metrics"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bus.Connect(t.Context(), tc.o)
			require.Error(t, err)
			for _, want := range tc.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

// twice is a registry that has one of the bus's metrics already.
func twice(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	require.NoError(t, reg.Register(prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "bellbuoy_bus_publish_queue_events", Help: "Events that wait for the publisher.",
	})))
	return reg
}

// TestLeastPrivilege: a collector's user may publish its own events and nothing else.
func TestLeastPrivilege(t *testing.T) {
	owner := &server.User{Username: "owner", Password: "o"}
	collector := &server.User{Username: "collector", Password: "c", Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{"bellbuoy.events.v1.test.docker.>"}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}}
	host := strings.TrimPrefix(external(t, server.Options{JetStream: true, Users: []*server.User{owner, collector}}), "nats://")
	main := bustest.Connect(t, bus.Options{URL: "nats://owner:o@" + host})
	agent := bustest.Connect(t, bus.Options{URL: "nats://collector:c@" + host, Manage: bus.Off})
	bustest.Publish(t, agent, bustest.Event(0))
	bustest.Events(t, main, 1)
	_, err := agent.Bucket(t.Context(), bus.CursorsBucket)
	require.ErrorContains(t, err, "permissions violation")
}

package docker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", nil)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name+".pem") }

// sign makes a certificate that is valid for a host, or one that signs others.
func (a *authority) sign(t *testing.T, name string, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = c, key
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	private, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(a.file(name+"-key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600))
	signed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return signed, key
}

// listenTLS puts a real TLS listener that wants client certificates in front of the fake.
func listenTLS(t *testing.T, f *fakeDaemon, a *authority, version uint16, server string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.file(server), a.file(server+"-key"))
	require.NoError(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	s := httptest.NewUnstartedServer(f.handler())
	s.TLS = &tls.Config{MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it says what the client is told
	s.StartTLS()
	t.Cleanup(func() {
		f.cut()
		s.CloseClientConnections()
		s.Close()
	})
	return "tcp://" + s.Listener.Addr().String()
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	ours.sign(t, "server", nil)
	ours.sign(t, "client", nil)
	theirs.sign(t, "client", nil)
	ours.sign(t, "old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	ours.sign(t, "elsewhere", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"docker.example"} })
	plain := newFake(t)
	open := httptest.NewServer(plain.handler())
	t.Cleanup(open.Close)
	good := docker.TLS{CA: ours.file("ca"), Cert: ours.file("client"), Key: ours.file("client-key")}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f := newFake(t)
		host := listenTLS(t, f, ours, version, "server")
		for name, tt := range map[string]struct {
			host string
			tls  docker.TLS
			says []string
		}{
			"the right ones":         {host, good, nil},
			"another authority":      {host, docker.TLS{CA: theirs.file("ca"), Cert: good.Cert, Key: good.Key}, []string{"certificate signed by unknown authority", "another authority than tls.ca holds"}},
			"the system's":           {host, docker.TLS{Cert: good.Cert, Key: good.Key}, []string{"set tls.ca to the authority that signed"}},
			"no client certificate":  {host, docker.TLS{CA: good.CA}, []string{"asks for a client certificate: set tls.cert and tls.key"}},
			"a stranger's":           {host, docker.TLS{CA: good.CA, Cert: theirs.file("client"), Key: theirs.file("client-key")}, []string{"refuses the client certificate of tls.cert"}},
			"no TLS":                 {host, docker.TLS{}, []string{"the daemon speaks TLS: set tls.ca, tls.cert and tls.key"}},
			"TLS to a plain port":    {"tcp" + open.URL[len("http"):], good, []string{"does not speak TLS on this port: remove tls"}},
			"https to a plain port":  {"https" + open.URL[len("http"):], docker.TLS{}, []string{"does not speak TLS on this port: remove tls"}},
			"a certificate expired":  {listenTLS(t, f, ours, version, "old"), good, []string{"expired", "renew the daemon's certificate"}},
			"another name":           {listenTLS(t, f, ours, version, "elsewhere"), good, []string{"use a name in host that the daemon's certificate holds"}},
			"no such file":           {host, docker.TLS{CA: "/no/ca.pem"}, []string{"read tls.ca: open /no/ca.pem"}},
			"a key is no authority":  {host, docker.TLS{CA: ours.file("client-key")}, []string{"holds no certificate in PEM form"}},
			"a key of another":       {host, docker.TLS{CA: good.CA, Cert: good.Cert, Key: theirs.file("client-key")}, []string{"read tls.cert and tls.key"}},
			"plain HTTP, plain port": {"tcp" + open.URL[len("http"):], docker.TLS{}, nil},
		} {
			cfg := docker.DefaultConfig()
			cfg.Host, cfg.TLS = tt.host, tt.tls
			err := cfg.Check(t.Context())
			if tt.says == nil {
				assert.NoError(t, err, name)
				continue
			}
			for _, say := range tt.says {
				assert.ErrorContains(t, err, say, name)
			}
		}
	}
}

// TestWatchOverTLS: the stream takes the same way as the questions.
func TestWatchOverTLS(t *testing.T) {
	t.Parallel()
	f, a := newFake(t), newAuthority(t)
	a.sign(t, "server", nil)
	a.sign(t, "client", nil)
	fixture := fakeFixtureAt(f, listenTLS(t, f, a, tls.VersionTLS13, "server"), docker.TLS{CA: a.file("ca"), Cert: a.file("client"), Key: a.file("client-key")})
	r := collectortest.Start(t, fixture, &collectortest.Stream{}, nil).Connected()
	assert.Equal(t, "exit.error", r.Stopped(fixture.Crash(t)).Data.Cause.Class)
	r.Stop()
}

func TestSocketWithoutDaemon(t *testing.T) {
	t.Parallel()
	cfg := docker.DefaultConfig()
	path := filepath.Join(t.TempDir(), "d.sock")
	cfg.Host = "unix://" + path
	require.ErrorContains(t, cfg.Check(t.Context()), "check if the path is correct and if the daemon is running")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.ErrorContains(t, cfg.Check(t.Context()), "the socket is there, but nobody listens on it: start the daemon")
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for host, warned := range map[string]bool{
		"unix:///var/run/docker.sock": false, "tcp://127.0.0.1:2375": false, "tcp://localhost:2375": false, "tcp://[::1]:2375": false,
		"tcp://docker.example:2375": true, "http://10.0.0.7:2375": true, "https://10.0.0.7:2376": false,
	} {
		cfg := docker.DefaultConfig()
		cfg.Host = host
		assert.Equal(t, warned, len(cfg.Warnings()) == 1, host)
	}
	cfg := docker.DefaultConfig()
	cfg.Host, cfg.TLS.CA = "tcp://docker.example:2376", "ca.pem"
	assert.Empty(t, cfg.Warnings())
}

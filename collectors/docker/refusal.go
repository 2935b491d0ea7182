package docker

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// describe says what was attempted and, where it is known, what to do.
func (c *Collector) describe(err error) error {
	if hint := c.hint(err); hint != "" {
		return fmt.Errorf("ask the Docker daemon at %s: %w; %s", c.cfg.Host, err, hint)
	}
	return fmt.Errorf("ask the Docker daemon at %s: %w", c.cfg.Host, err)
}

// hint is what to do about an error, as far as it is known.
func (c *Collector) hint(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run as root or as a member of the group that owns the socket"
	case errors.As(err, &authority) && c.cfg.TLS.CA == "":
		return "set tls.ca to the authority that signed the daemon's certificate"
	case errors.As(err, &authority):
		return "the daemon's certificate is signed by another authority than tls.ca holds; set tls.ca to the right one"
	case errors.As(err, &name):
		return "use a name in host that the daemon's certificate holds"
	case errors.As(err, &invalid):
		return "renew the daemon's certificate, or set the clock right"
	case strings.Contains(err.Error(), "remote error: tls: "):
		return c.alert(err.Error())
	case c.deserted(err):
		return "the socket is there, but nobody listens on it: start the daemon"
	}
	for _, h := range hints {
		if strings.Contains(err.Error(), h.text) {
			return h.say
		}
	}
	return ""
}

// deserted reports whether the daemon's socket is left over from one that is gone.
func (c *Collector) deserted(err error) bool {
	path, local := strings.CutPrefix(c.cfg.Host, "unix://")
	if !local || !errors.Is(err, syscall.ECONNREFUSED) && !strings.Contains(err.Error(), "Cannot connect to the Docker daemon") {
		return false
	}
	_, missing := os.Stat(path)
	return missing == nil
}

// alert says what a daemon that ended the TLS handshake means.
func (c *Collector) alert(text string) string {
	switch {
	case c.cfg.TLS.Cert == "":
		return "the daemon asks for a client certificate: set tls.cert and tls.key"
	case strings.Contains(text, "expired"):
		return "renew the client certificate of tls.cert"
	}
	return "the daemon refuses the client certificate of tls.cert; have it signed by the authority that the daemon trusts (--tlscacert)"
}

// hints are for errors that only their text tells apart.
var hints = []struct{ text, say string }{
	{"timeout awaiting response headers", "it hangs, or something on the way holds its answers back"},
	{"context deadline exceeded", "it hangs, or something on the way holds its answers back"},
	{"permission denied", "run as root or as a member of the group that owns the socket"},
	{"HTTP request to an HTTPS server", "the daemon speaks TLS: set tls.ca, tls.cert and tls.key"},
	{"malformed HTTP response", "the daemon speaks TLS: set tls.ca, tls.cert and tls.key"},
	{"HTTP response to HTTPS client", "the daemon does not speak TLS on this port: remove tls, or use the port that does"},
	{"does not look like a TLS handshake", "the daemon does not speak TLS on this port: remove tls, or use the port that does"},
}

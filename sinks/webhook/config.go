package webhook

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/internal/secret"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// The formats.
const (
	// CloudEvents is the event as it is on the stream: structured CloudEvents JSON.
	CloudEvents = "cloudevents"
	// Slack is {"text": …}, which Slack, Mattermost, Rocket.Chat and Google Chat take.
	Slack = "slack"
)

// Config is what a user sets.
type Config struct {
	// URL is where to post to: https, or http to a loopback address. Its path may be a secret.
	URL secret.String `yaml:"url"`
	// Format is cloudevents or slack.
	Format string `yaml:"format"`
	// Template is your own words for format slack, as text/template over what docs/templates.md lists.
	Template string `yaml:"template"`
	// Secret signs each request, as the header Bellbuoy-Signature says.
	Secret secret.String `yaml:"secret"`
	// Headers are sent with each request, such as Authorization.
	Headers map[string]secret.String `yaml:"headers"`
	// Timeout is for one request.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultConfig returns the config of a sink of which only the URL is missing.
func DefaultConfig() Config { return Config{Format: CloudEvents, Timeout: 10 * time.Second} }

// Validate returns all faults.
func (c Config) Validate() error {
	faults := []error{c.urlFault()}
	if c.Format != CloudEvents && c.Format != Slack {
		faults = append(faults, fault.At("format", "%q is not a format; write cloudevents or slack", c.Format))
	}
	if _, err := notice.ParseTemplate("template", c.Template); err != nil {
		faults = append(faults, fault.At("template", "%v", err))
	} else if c.Template != "" && c.Format != Slack {
		faults = append(faults, fault.At("template", "is for format slack; a CloudEvent is as it is"))
	}
	if c.Timeout < time.Second || c.Timeout > time.Minute {
		faults = append(faults, fault.At("timeout", "is %s; write 1s to 1m", c.Timeout))
	}
	if n := len(c.Secret); n > 0 && n < 16 {
		faults = append(faults, fault.At("secret", "has %d characters; a secret that nobody guesses has 16 at least", n))
	}
	for name, value := range c.Headers {
		switch {
		case !token(name) || slices.Contains([]string{"Content-Type", "Content-Length", "Host"}, http.CanonicalHeaderKey(name)):
			faults = append(faults, fault.At("headers", "%q can't be set", name))
		case strings.ContainsAny(value.Reveal(), "\r\n\x00"):
			faults = append(faults, fault.At("headers", "the value of %q has a line break", name))
		}
	}
	return errors.Join(faults...)
}

func (c Config) urlFault() error {
	const example = "https://hooks.example.com/bellbuoy"
	u, err := url.Parse(c.URL.Reveal())
	switch {
	case c.URL == "":
		return fault.At("url", "is missing; write where to post to, such as %s", example)
	case err != nil || u.Host == "":
		return fault.At("url", "is not an address; write one such as %s", example) // it may hold a secret, so it is not shown
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fault.At("url", "would send over the network in clear text; write https")
	case u.Scheme != "http" && u.Scheme != "https":
		return fault.At("url", "has the scheme %q; write https", u.Scheme)
	}
	return nil
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// token says whether s is a header's name.
func token(s string) bool {
	const legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return s != "" && strings.Trim(s, legal) == ""
}

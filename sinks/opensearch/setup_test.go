package opensearch

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

func errorsAs[T error](err error, target *T) bool { return errors.As(err, target) }

func TestTemplatesAreInstalledOnceBeforeTheFirstWrite(t *testing.T) {
	w := newWire(t)
	s := w.sink(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _ = s.Send(t.Context(), events("a")) })
	}
	wg.Wait()
	require.Equal(t, []string{
		"GET /_index_template/bellbuoy-events",
		"GET /_component_template/bellbuoy@custom",
		"PUT /_component_template/bellbuoy@custom",
		"PUT /_component_template/bellbuoy-settings@v1",
		"PUT /_component_template/bellbuoy-mappings@v1",
		"PUT /_index_template/bellbuoy-events",
	}, w.seen()[:6])
	require.Len(t, w.seen(), 10, "and never again")
	var index map[string]any
	require.NoError(t, json.Unmarshal([]byte(w.puts["/_index_template/bellbuoy-events"]), &index))
	require.Equal(t, []any{"bellbuoy-settings@v1", "bellbuoy-mappings@v1", "bellbuoy@custom"}, index["composed_of"])
	require.Equal(t, []any{"bellbuoy-events-*"}, index["index_patterns"])
	require.InDelta(t, templatePriority, index["priority"], 0)
	require.Contains(t, w.puts["/_component_template/bellbuoy-mappings@v1"], `"dynamic":false`)
	require.Contains(t, w.puts["/_component_template/bellbuoy-settings@v1"], `"refresh_interval":"10000ms"`)
}

func TestAUsersOwnTemplateIsNeverTouched(t *testing.T) {
	w := newWire(t)
	w.custom = true
	require.NoError(t, w.sink(t).Setup(t.Context()))
	require.NotContains(t, w.puts, "/_component_template/bellbuoy@custom")
}

func TestAVersionIsNeverLowered(t *testing.T) {
	for _, version := range []int{templateVersion, templateVersion + 1, templateVersion + 40} {
		w := newWire(t)
		w.template = version
		require.NoError(t, w.sink(t).Send(t.Context(), events("a")))
		require.Empty(t, w.puts)
	}
}

func TestWithoutTemplateNothingIsWritten(t *testing.T) {
	deny := func(method string, status int) func(*http.Request) int {
		return func(r *http.Request) int {
			if r.Method == method {
				return status
			}
			return 0
		}
	}
	for name, c := range map[string]struct {
		installed int
		manage    bool
		deny      func(*http.Request) int
		text      string // empty: the sink writes
	}{
		"absent, not managed":            {0, false, nil, "manage_templates is false"},
		"there, not managed":             {1, false, nil, ""},
		"absent, may not install":        {0, true, deny(http.MethodPut, 403), "may not install"},
		"there, may not install":         {1, true, deny(http.MethodPut, 403), ""},
		"may not even look":              {0, true, deny(http.MethodGet, 403), "indices:admin/index_template/get"},
		"nobody knows us":                {0, true, deny(http.MethodGet, 401), "401"},
		"the cluster is not there yet":   {0, true, deny(http.MethodGet, 503), "503"},
		"another service at the address": {0, true, deny(http.MethodGet, 400), ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.template, w.deny = c.installed, c.deny
			s := w.sink(t, func(cfg *Config) { cfg.ManageTemplates = c.manage })
			err := s.Send(t.Context(), events("a"))
			if c.text == "" && name != "another service at the address" {
				require.NoError(t, err)
				require.Len(t, w.stored(), 1)
				return
			}
			require.ErrorContains(t, err, c.text)
			require.NotEqual(t, sinktest.Permanent, sinktest.ClassOf(err), "no event is given up for the set-up")
			require.Empty(t, w.stored())
			w.set(func() { w.deny, w.template = nil, max(1, c.installed) })
			require.NoError(t, s.Send(t.Context(), events("a")), "it works as soon as the template is there")
		})
	}
}

func TestCheckTriesWithoutWriting(t *testing.T) {
	w := newWire(t)
	s := w.sink(t)
	require.NoError(t, s.Check(t.Context()))
	require.Empty(t, w.stored())
	require.Empty(t, w.puts)
	require.Equal(t, []string{"GET /_index_template/bellbuoy-events", "POST /_bulk"}, w.seen())

	w.deny = func(r *http.Request) int {
		if r.URL.Path == "/_bulk" {
			return 403
		}
		return 0
	}
	require.ErrorContains(t, s.Check(t.Context()), "denies a right")
	w.deny = nil
	w.verdict = func(string) string { return `"status":201` }
	require.ErrorContains(t, s.Check(t.Context()), "got status 201")
	require.ErrorContains(t, w.sink(t, func(c *Config) { c.ManageTemplates = false }).Check(t.Context()), "does not exist")
	w.Close()
	require.ErrorContains(t, s.Check(t.Context()), "connect")
}

func TestConfigFaults(t *testing.T) {
	good := DefaultConfig()
	good.Addresses = []string{"https://search.example:9200"}
	require.NoError(t, good.Validate())
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(notPEM, []byte("hello"), 0o600))
	for path, change := range map[string]func(*Config){
		"addresses":        func(c *Config) { c.Addresses = nil },
		"addresses[1]":     func(c *Config) { c.Addresses = append(c.Addresses, "search.example:9200") },
		"addresses[0]":     func(c *Config) { c.Addresses = []string{"https://u:p4ss@search.example"} },
		"prefix":           func(c *Config) { c.Prefix = "Upper*" },
		"auth":             func(c *Config) { c.Auth = "kerberos" },
		"ca":               func(c *Config) { c.CA = "/no/such/file" },
		"service":          func(c *Config) { c.Service = "s3" },
		"region":           func(c *Config) { c.Region = "Ireland" },
		"role_arn":         func(c *Config) { c.RoleARN = "me" },
		"max_batch_bytes":  func(c *Config) { c.MaxBatchBytes = 1 },
		"timeout":          func(c *Config) { c.Timeout = time.Millisecond },
		"refresh_interval": func(c *Config) { c.RefreshInterval = 0 },
	} {
		c := good
		change(&c)
		faults := fault.All(c.Validate())
		require.Len(t, faults, 1, path)
		require.Equal(t, path, faults[0].Path)
		require.NotContains(t, faults[0].Error(), "p4ss")
		_, err := New(c, Deps{})
		require.Error(t, err)
	}
	basic := good
	basic.Auth = Basic
	require.ErrorContains(t, basic.Validate(), "username and password")
	basic.Auth, basic.Username, basic.Password = None, "x", "y"
	require.ErrorContains(t, basic.Validate(), "auth: basic")
	bad := good
	bad.CA = notPEM
	_, err := New(bad, Deps{})
	require.ErrorContains(t, err, "no PEM")
}

func TestSigV4SignsEachRequest(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example-secret-key")
	w := newWire(t)
	var auth []string
	w.deny = func(r *http.Request) int {
		auth = append(auth, r.Header.Get("Authorization"))
		return 0
	}
	for service, want := range map[string]string{"": "/eu-west-1/es/", "aoss": "/eu-west-1/aoss/"} {
		auth = nil
		s := w.sink(t, func(c *Config) { c.Auth, c.Region, c.Service = SigV4, "eu-west-1", service })
		require.NoError(t, s.Send(t.Context(), events("a")))
		for _, a := range auth {
			require.True(t, strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/"), a)
			require.Contains(t, a, want)
		}
		require.NotEmpty(t, auth)
	}
	c := DefaultConfig()
	c.Addresses = []string{"https://abc.eu-west-1.aoss.amazonaws.com"}
	require.Equal(t, "aoss", c.service())
}

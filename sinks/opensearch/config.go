package opensearch

import (
	"errors"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/internal/secret"
)

// The ways to prove who we are.
const (
	// None sends no credentials.
	None = "none"
	// Basic sends user name and password.
	Basic = "basic"
	// SigV4 signs each request with the credentials of the AWS default chain.
	SigV4 = "sigv4"
)

// Limits of max_batch_bytes: one event with its action line, and what the smallest hosted instances take.
const (
	minBatchBytes = 256 << 10
	maxBatchBytes = 100 << 20
)

// Config is what a user sets.
type Config struct {
	// Addresses are the base URLs of the nodes, or the one endpoint of a managed domain.
	Addresses []string `yaml:"addresses"`
	// Prefix starts the name of every index and template.
	Prefix string `yaml:"prefix"`
	// Auth is none, basic or sigv4; Username and Password belong to basic.
	Auth     string        `yaml:"auth"`
	Username string        `yaml:"username"`
	Password secret.String `yaml:"password"`
	// CA is a PEM file of the authorities to trust in place of the system's.
	CA string `yaml:"ca"`
	// Region, RoleARN and ExternalID belong to sigv4 and override the aws block; see WithAWS.
	Region     string `yaml:"region"`
	RoleARN    string `yaml:"role_arn"`
	ExternalID string `yaml:"external_id"`
	// Service is the signed service name: es, or aoss for Serverless; empty takes it from the address.
	Service string `yaml:"service"`
	// ManageTemplates installs and upgrades the templates; false only makes sure that they exist.
	ManageTemplates bool `yaml:"manage_templates"`
	// RefreshInterval is how soon a new index shows what was written; it takes effect with the next index.
	RefreshInterval time.Duration `yaml:"refresh_interval"`
	// MaxBatchBytes bounds one request before compression.
	MaxBatchBytes int `yaml:"max_batch_bytes"`
	// Timeout bounds one request, answer included.
	Timeout time.Duration `yaml:"timeout"`
	// Gzip compresses requests: less traffic for seven times the CPU.
	Gzip bool `yaml:"gzip"`
}

// DefaultConfig returns the config of a sink of which only the addresses are missing.
func DefaultConfig() Config {
	return Config{
		Prefix: "bellbuoy", Auth: None, ManageTemplates: true,
		RefreshInterval: 10 * time.Second, MaxBatchBytes: 4 << 20, Timeout: 30 * time.Second,
	}
}

// WithAWS fills what the sink does not set itself from the aws block.
func (c Config) WithAWS(base awsclient.Config) Config {
	a := c.aws().Or(base)
	c.Region, c.RoleARN, c.ExternalID = a.Region, a.RoleARN, a.ExternalID
	return c
}

func (c Config) aws() awsclient.Config {
	return awsclient.Config{Region: c.Region, RoleARN: c.RoleARN, ExternalID: c.ExternalID}
}

var (
	prefixShape  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,99}$`)
	serviceShape = regexp.MustCompile(`^(es|aoss)?$`)
)

// Validate returns all faults.
func (c Config) Validate() error {
	faults := []error{c.addressFault(), c.authFault(), c.caFault()}
	if !prefixShape.MatchString(c.Prefix) {
		faults = append(faults, fault.At("prefix", "is %.40q; write at most 100 lower-case letters, digits, - and _, starting with a letter or digit", c.Prefix))
	}
	if n := c.MaxBatchBytes; n < minBatchBytes || n > maxBatchBytes {
		faults = append(faults, fault.At("max_batch_bytes", "is %d; write a number from %d to %d", n, minBatchBytes, maxBatchBytes))
	}
	if c.Timeout < time.Second || c.Timeout > 5*time.Minute {
		faults = append(faults, fault.At("timeout", "is %s; write a duration from 1s to 5m", c.Timeout))
	}
	if c.RefreshInterval < 100*time.Millisecond || c.RefreshInterval > time.Hour {
		faults = append(faults, fault.At("refresh_interval", "is %s; write a duration from 100ms to 1h", c.RefreshInterval))
	}
	return errors.Join(faults...)
}

func (c Config) addressFault() error {
	if len(c.Addresses) == 0 {
		return fault.At("addresses", `is missing; write the base URLs of the nodes, such as ["https://search.example:9200"]`)
	}
	var faults []error
	for i, address := range c.Addresses {
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			faults = append(faults, fault.At(place(i), "is not a URL such as https://search.example:9200"))
		case u.User != nil:
			faults = append(faults, fault.At(place(i), "holds a user name; write auth: basic, username and password in its place"))
		case u.RawQuery != "" || u.Fragment != "":
			faults = append(faults, fault.At(place(i), "holds a query; write the base URL only"))
		}
	}
	return errors.Join(faults...)
}

func (c Config) authFault() error {
	var faults []error
	switch c.Auth {
	case Basic:
		if c.Username == "" || c.Password == "" {
			faults = append(faults, fault.At("auth", "is basic; it needs username and password"))
		}
	case None, SigV4:
		if c.Username != "" || c.Password != "" {
			faults = append(faults, fault.At("auth", "is %s, which has no username and password; write auth: basic or leave them out", c.Auth))
		}
	default:
		faults = append(faults, fault.At("auth", "is %.40q; write none, basic or sigv4", c.Auth))
	}
	if !serviceShape.MatchString(c.Service) {
		faults = append(faults, fault.At("service", "is %.40q; write es, or aoss for a Serverless collection", c.Service))
	}
	return errors.Join(append(faults, c.aws().Validate())...)
}

func (c Config) caFault() error {
	if c.CA == "" {
		return nil
	}
	if _, err := os.Stat(c.CA); err != nil {
		return fault.At("ca", "can't be read: %v", err)
	}
	return nil
}

func place(i int) string { return "addresses[" + strconv.Itoa(i) + "]" }

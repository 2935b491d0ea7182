package awsclient

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"regexp"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// Config says which AWS a component talks to and as whom. There is no field for access keys: they come
// from the SDK's default chain (environment, shared files, task role, Pod Identity, instance profile).
type Config struct {
	// Region is such as eu-west-1; empty is what AWS_REGION or the shared config says.
	Region string `yaml:"region"`
	// RoleARN is a role to assume first, such as one of another account; empty is none.
	RoleARN string `yaml:"role_arn"`
	// ExternalID is what the role's trust policy asks for; empty is none.
	ExternalID string `yaml:"external_id"`
	// Endpoint replaces the address of every service, STS included: an interface endpoint or a test
	// stand. Plain http is for this machine only.
	Endpoint string `yaml:"endpoint"`
}

// Or fills the empty fields from base. A role and its external id belong together: the external id of
// base goes with the role of base only.
func (c Config) Or(base Config) Config {
	if c.RoleARN == "" {
		c.RoleARN = base.RoleARN
		c.ExternalID = cmp.Or(c.ExternalID, base.ExternalID)
	}
	c.Region = cmp.Or(c.Region, base.Region)
	c.Endpoint = cmp.Or(c.Endpoint, base.Endpoint)
	return c
}

var (
	regionShape = regexp.MustCompile(`^[a-z]{2,5}(-[a-z]+)+-[0-9]{1,2}$`)
	roleShape   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,577}$`)
)

// Validate returns the faults of the fields that are set; each of them may be empty.
func (c Config) Validate() error {
	var faults []error
	if c.Region != "" && !regionShape.MatchString(c.Region) {
		faults = append(faults, fault.At("region", "%q is not an AWS region; write one such as eu-west-1", c.Region))
	}
	if c.RoleARN != "" && !roleShape.MatchString(c.RoleARN) {
		faults = append(faults, fault.At("role_arn", "%q is not the ARN of a role; write one such as arn:aws:iam::123456789012:role/bellbuoy", c.RoleARN))
	}
	if c.ExternalID != "" && c.RoleARN == "" {
		faults = append(faults, fault.At("external_id", "is set without role_arn; set the role to assume, or remove it"))
	}
	if c.Endpoint != "" {
		faults = append(faults, endpointFault(c.Endpoint))
	}
	return errors.Join(faults...)
}

func endpointFault(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return fault.At("endpoint", "is not a URL of an AWS endpoint; write one such as https://vpce-1a2b3c.sns.eu-west-1.vpce.amazonaws.com")
	case u.User != nil:
		return fault.At("endpoint", "holds a user or password; AWS requests are signed, remove them")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fault.At("endpoint", "%s is plain http to another machine; alerts carry log lines, so write https", u.Host)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

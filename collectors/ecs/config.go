package ecs

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// Config is what a user sets for one queue; several queues are several collectors. The AWS fields override
// those of the aws block; see WithAWS.
type Config struct {
	// QueueURL is the SQS queue that an EventBridge rule puts the events of ECS into.
	QueueURL string `yaml:"queue_url"`
	// Clusters are the names or ARNs of the clusters that are compared with what the ECS API lists; empty is
	// every cluster of the account and region. Which clusters' events come is the rule's to say.
	Clusters []string `yaml:"clusters"`
	// ReconcileEvery is how often that is done, besides the start and after a time in which nothing was
	// received.
	ReconcileEvery time.Duration `yaml:"reconcile_every"`
	// Pollers is how many receives are open at a time.
	Pollers int `yaml:"pollers"`

	// Region is the queue's own and need not be set where the URL tells it.
	Region     string `yaml:"region"`
	RoleARN    string `yaml:"role_arn"`
	ExternalID string `yaml:"external_id"`
	Endpoint   string `yaml:"endpoint"`
}

const (
	minReconcile, maxReconcile = time.Minute, time.Hour
	minPollers, maxPollers     = 2, 8
)

// DefaultConfig returns the config of a collector of which only the queue is missing.
func DefaultConfig() Config { return Config{ReconcileEvery: 15 * time.Minute, Pollers: 4} }

// WithAWS fills what the collector does not set itself: the region from the queue's URL, then all from the
// aws block.
func (c Config) WithAWS(base awsclient.Config) Config {
	own := c.aws()
	own.Region = cmp.Or(own.Region, c.address().region)
	a := own.Or(base)
	c.Region, c.RoleARN, c.ExternalID, c.Endpoint = a.Region, a.RoleARN, a.ExternalID, a.Endpoint
	return c
}

func (c Config) aws() awsclient.Config {
	return awsclient.Config{Region: c.Region, RoleARN: c.RoleARN, ExternalID: c.ExternalID, Endpoint: c.Endpoint}
}

// address is what the URL tells; the zero address if it is wrong.
func (c Config) address() address {
	q, err := parseAddress(c.QueueURL)
	if err != nil {
		return address{}
	}
	return q
}

// Account is the 12 digits of the queue's owner, from its URL.
func (c Config) Account() string { return c.address().account }

// region is the one in use.
func (c Config) region() string { return cmp.Or(c.address().region, c.Region) }

var (
	clusterName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	clusterARN  = regexp.MustCompile(`^arn:aws[a-z-]*:ecs:([a-z0-9-]+):[0-9]{12}:cluster/[A-Za-z0-9_-]{1,255}$`)
)

// Validate returns all faults. Call it on what WithAWS returned, so that it sees the region in use.
func (c Config) Validate() error {
	faults := []error{c.queueFault(), c.aws().Validate()}
	add := func(key, format string, args ...any) { faults = append(faults, fault.At(key, format, args...)) }
	for _, cluster := range c.Clusters {
		arn := clusterARN.FindStringSubmatch(cluster)
		switch {
		case arn == nil && strings.HasPrefix(cluster, "arn:"):
			add("clusters", "%q is not the ARN of a cluster; write one such as arn:aws:ecs:eu-west-1:123456789012:cluster/prod, or the name alone", cluster)
		case arn == nil && !clusterName.MatchString(cluster):
			add("clusters", "%q can't be the name of a cluster; a name has letters, digits, - and _", cluster)
		case arn != nil && c.region() != "" && arn[1] != c.region():
			add("clusters", "%s is in region %s, but the queue is in %s; the events of another region come through a queue there: add a collector for it", cluster, arn[1], c.region())
		}
	}
	if c.ReconcileEvery < minReconcile || c.ReconcileEvery > maxReconcile {
		add("reconcile_every", "%s is out of range; use 1m to 1h: ECS forgets a stopped task after about an hour", c.ReconcileEvery)
	}
	if c.Pollers < minPollers || c.Pollers > maxPollers {
		add("pollers", "%d pollers; use %d to %d", c.Pollers, minPollers, maxPollers)
	}
	return errors.Join(faults...)
}

// queueFault is the first thing wrong with the queue.
func (c Config) queueFault() error {
	q, err := parseAddress(c.QueueURL)
	switch {
	case err != nil:
		return err
	case q.region == "" && c.Region == "":
		return fault.At("region", "is not known: the queue's URL does not tell it; set region here or in the aws block")
	case q.region != "" && c.Region != "" && c.Region != q.region:
		return fault.At("region", "is %s, but the queue is in %s; remove region here, the queue's URL tells it", c.Region, q.region)
	}
	return nil
}

// Warnings returns what is not wrong but unwise.
func (c Config) Warnings() []string {
	if strings.HasSuffix(c.address().name, ".fifo") {
		return []string{"queue_url: a FIFO queue takes few events a second from a rule, and order is by version anyway; use a standard queue"}
	}
	return nil
}

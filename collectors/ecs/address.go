package ecs

import (
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// address is what the URL of an SQS queue tells.
type address struct {
	account, name string
	// region is empty where the host does not tell it: a test stand.
	region string
	// endpoint is set if the queue is not asked at the region's usual address: an interface endpoint, FIPS, dual
	// stack, a test stand.
	endpoint string
}

const exampleURL = "https://sqs.eu-west-1.amazonaws.com/123456789012/bellbuoy-events"

// The hosts of SQS. The suffix differs by partition and, for dual stack, from the usual one.
const suffixes = `amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws|api\.amazonwebservices\.com\.cn|api\.amazonwebservices\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov`

var (
	// sqs.<region>.<suffix>, sqs-fips.<region>.<suffix>, vpce-….sqs.<region>.vpce.<suffix>.
	queueHost = regexp.MustCompile(`^(vpce-[a-z0-9-]+\.)?sqs(-fips)?\.([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2})\.(?:vpce\.)?(` + suffixes + `)$`)
	// <region>.queue.amazonaws.com and, of us-east-1, queue.amazonaws.com: what SQS called itself once.
	oldHost = regexp.MustCompile(`^(?:([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2})\.)?queue\.(?:amazonaws\.com|amazonaws\.com\.cn)$`)

	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}(\.fifo)?$`)
)

// parseAddress reads the URL of a queue. The error is a fault.
func parseAddress(raw string) (address, error) {
	bad := func(format string, args ...any) (address, error) {
		return address{}, fault.At("queue_url", format, args...)
	}
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return bad("is missing; write the URL of the queue that the rule feeds, such as %s", exampleURL)
	case strings.HasPrefix(raw, "arn:"):
		return bad("is an ARN; write the queue's URL, such as %s", exampleURL)
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return bad("is not the URL of a queue; write one such as %s", exampleURL)
	case u.User != nil:
		return bad("holds a user or password; AWS requests are signed, remove them")
	case u.RawQuery != "" || u.Fragment != "":
		return bad("has something behind the queue's name; write it as SQS shows it, such as %s", exampleURL)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return bad("is plain http to another machine (%s); write https", u.Host)
	}
	account, name, found := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch {
	case !found || strings.Contains(name, "/"):
		return bad("does not end in /ACCOUNT/NAME; write it as SQS shows it, such as %s", exampleURL)
	case !accountID.MatchString(account):
		return bad("has the account %q; an account is 12 digits", account)
	case !queueName.MatchString(name):
		return bad("has the queue name %q; a name has letters, digits, - and _", name)
	}
	q := address{account: account, name: name}
	q.region, q.endpoint = whereIs(u)
	return q, nil
}

// whereIs returns the region in a host, if any, and the address to ask, if it is not the usual one.
func whereIs(u *url.URL) (region, endpoint string) {
	host := strings.ToLower(u.Hostname())
	if m := oldHost.FindStringSubmatch(host); m != nil {
		if m[1] == "" {
			return "us-east-1", ""
		}
		return m[1], ""
	}
	endpoint = u.Scheme + "://" + u.Host
	m := queueHost.FindStringSubmatch(host)
	if m == nil {
		return "", endpoint
	}
	special := m[1] != "" || m[2] != "" || strings.HasPrefix(m[4], "api.") || u.Port() != ""
	if !special {
		endpoint = ""
	}
	return m[3], endpoint
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

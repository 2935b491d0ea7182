package awsclient

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// Loader makes configurations that share one credential chain and one set of connections. The zero
// value is ready; it is safe for concurrent use.
type Loader struct {
	// MaxBackoff caps the delay between two tries of a call; zero is DefaultMaxBackoff.
	MaxBackoff time.Duration

	mu      sync.Mutex // guards what follows
	base    *aws.Config
	loaded  map[Config]aws.Config
	buckets map[string]*Bucket
}

// Load returns the configuration for c. The same c gives the same configuration, so that clients of
// one target share the credentials of an assumed role. Errors are faults of c or of the environment.
func (l *Loader) Load(c Config) (aws.Config, error) {
	if err := c.Validate(); err != nil {
		return aws.Config{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if cfg, ok := l.loaded[c]; ok {
		return cfg, nil
	}
	if l.base == nil {
		base, err := loadBase(l.MaxBackoff)
		if err != nil {
			return aws.Config{}, err
		}
		l.base = &base
	}
	cfg, err := derive(l.base.Copy(), c)
	if err != nil {
		return aws.Config{}, err
	}
	if l.loaded == nil {
		l.loaded = map[Config]aws.Config{}
	}
	l.loaded[c] = cfg
	return cfg, nil
}

// loadBase reads the environment and the shared files. It takes no context because nothing in it
// waits: credential providers are built here and asked later.
func loadBase(maxBackoff time.Duration) (aws.Config, error) {
	cfg, err := awsconfig.LoadDefaultConfig(context.Background(),
		awsconfig.WithHTTPClient(httpClient()),
		awsconfig.WithRetryer(func() aws.Retryer { return Retryer(maxBackoff) }),
		// Another mode may ask the instance's metadata service while it loads.
		awsconfig.WithDefaultsMode(aws.DefaultsModeStandard),
		awsconfig.WithLogger(logging.Nop{}),
		awsconfig.WithAppID("bellbuoy"),
	)
	if err != nil {
		return aws.Config{}, fault.At("", "read the AWS environment and shared config files: %v", err)
	}
	cfg.HTTPClient = &steady{cfg.HTTPClient} // not before: AWS_CA_BUNDLE needs the SDK's own type
	return cfg, nil
}

func derive(cfg aws.Config, c Config) (aws.Config, error) {
	if c.Region != "" {
		cfg.Region = c.Region
	}
	if cfg.Region == "" {
		return aws.Config{}, fault.At("region", "is not known; set aws.region, or AWS_REGION in the environment")
	}
	if c.Endpoint != "" {
		if os.Getenv("AWS_USE_FIPS_ENDPOINT") == "true" {
			return aws.Config{}, fault.At("endpoint", "can't be used together with AWS_USE_FIPS_ENDPOINT=true; name the FIPS endpoint here and unset the variable")
		}
		cfg.BaseEndpoint = aws.String(c.Endpoint)
	}
	if c.RoleARN != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), c.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "bellbuoy"
			if c.ExternalID != "" {
				o.ExternalID = aws.String(c.ExternalID)
			}
		})
		cfg.Credentials = aws.NewCredentialsCache(role, func(o *aws.CredentialsCacheOptions) {
			o.ExpiryWindow = 5 * time.Minute
			o.ExpiryWindowJitterFrac = 0.5
		})
	}
	return cfg, nil
}

// Bounds of one try. Answers to a long poll take up to 20 s, so the wait for a header is longer.
const (
	dialTimeout   = 5 * time.Second
	headerTimeout = 30 * time.Second
)

func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = headerTimeout
			t.MaxIdleConnsPerHost = 16
		})
}

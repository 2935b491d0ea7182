package awsclient

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environment has keys, no files, no region and no metadata service.
func environment(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func answer(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Code>%s</Code><Message>m</Message></Error></ErrorResponse>`, code)
}

func publish(t *testing.T, cfg aws.Config) error {
	t.Helper()
	_, err := sns.NewFromConfig(cfg).Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String("arn"), Message: aws.String("m")})
	return err
}

// The same with and without the variable that changes the SDK's own retries.
func TestTriesPerFault(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		tries  int
	}{
		{429, "Throttled", Attempts},
		{429, "SomethingElse", Attempts},
		{400, "Throttling", Attempts},
		{400, "KMSThrottling", Attempts},
		{400, "KmsThrottled", Attempts},
		{400, "KMS.ThrottlingException", Attempts},
		{403, "OverLimit", Attempts},
		{500, "InternalError", Attempts},
		{503, "ServiceUnavailable", Attempts},
		{0, "", Attempts}, // the connection breaks
		{403, "AuthorizationError", 1},
		{400, "InvalidParameter", 1},
		{404, "NotFound", 1},
		{403, "ExpiredToken", 1},
	} {
		for _, mode := range []string{"", "true"} {
			t.Run(fmt.Sprint(c.status, c.code, mode), func(t *testing.T) {
				environment(t)
				t.Setenv("AWS_NEW_RETRIES_2026", mode)
				var tries atomic.Int64
				url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					tries.Add(1)
					if c.status == 0 {
						panic(http.ErrAbortHandler)
					}
					answer(w, c.status, c.code)
				})
				cfg, err := (&Loader{MaxBackoff: time.Millisecond}).Load(Config{Region: "eu-west-1", Endpoint: url})
				require.NoError(t, err)
				require.Error(t, publish(t, cfg))
				assert.EqualValues(t, c.tries, tries.Load())
			})
		}
	}
}

// The SDK's own quota would stop repeating after 50 failing calls.
func TestLongOutageKeepsRetrying(t *testing.T) {
	environment(t)
	var tries atomic.Int64
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { tries.Add(1); answer(w, 503, "ServiceUnavailable") })
	cfg, err := (&Loader{MaxBackoff: time.Microsecond}).Load(Config{Region: "eu-west-1", Endpoint: url})
	require.NoError(t, err)
	const calls = 130
	for range calls {
		require.Error(t, publish(t, cfg))
	}
	assert.EqualValues(t, calls*Attempts, tries.Load())
}

func TestThrottle(t *testing.T) {
	for _, code := range []string{"Throttled", "ThrottledException", "Throttling", "KMSThrottling", "KMS.ThrottlingException", "OverLimit", "RequestThrottled"} {
		assert.True(t, Throttle(code), code)
	}
	assert.False(t, Throttle("AccessDenied"))
}

func TestBackoffIsBoundedAndSpread(t *testing.T) {
	r := Retryer(0)
	spread := map[time.Duration]bool{}
	for attempt := 1; attempt < Attempts; attempt++ {
		for range 20 {
			d, err := r.RetryDelay(attempt, nil)
			require.NoError(t, err)
			assert.LessOrEqual(t, d, DefaultMaxBackoff)
			assert.GreaterOrEqual(t, d, firstBackoff*8/10)
			spread[d] = true
		}
	}
	assert.Greater(t, len(spread), 50)
}

func TestLoadDialsNothing(t *testing.T) {
	environment(t)
	called := false
	url := serve(t, func(http.ResponseWriter, *http.Request) { called = true })
	_, err := (&Loader{}).Load(Config{Region: "eu-west-1", Endpoint: url, RoleARN: "arn:aws:iam::123456789012:role/x"})
	require.NoError(t, err)
	assert.False(t, called)
}

func TestOneConfigurationPerTarget(t *testing.T) {
	environment(t)
	var l Loader
	role := Config{Region: "eu-west-1", RoleARN: "arn:aws:iam::123456789012:role/x"}
	loaded := make([]aws.Config, 8)
	var wg sync.WaitGroup
	for i := range loaded {
		wg.Go(func() {
			cfg, err := l.Load(role)
			assert.NoError(t, err)
			loaded[i] = cfg
		})
	}
	wg.Wait()
	for _, cfg := range loaded {
		assert.Same(t, loaded[0].Credentials, cfg.Credentials, "one role, one set of credentials")
	}
	plain, err := l.Load(Config{Region: "us-east-1"})
	require.NoError(t, err)
	assert.Equal(t, "us-east-1", plain.Region)
	assert.NotSame(t, loaded[0].Credentials, plain.Credentials)
	assert.Same(t, loaded[0].HTTPClient, plain.HTTPClient, "one set of connections")
}

func TestFaultsOfTheEnvironment(t *testing.T) {
	environment(t)
	var l Loader
	_, err := l.Load(Config{})
	require.Len(t, fault.All(err), 1)
	assert.Equal(t, "region", fault.All(err)[0].Path)
	assert.ErrorContains(t, err, "AWS_REGION")

	t.Setenv("AWS_USE_FIPS_ENDPOINT", "true")
	_, err = l.Load(Config{Region: "eu-west-1", Endpoint: "https://sns.example"})
	assert.ErrorContains(t, err, "AWS_USE_FIPS_ENDPOINT")
	assert.Equal(t, "endpoint", fault.All(err)[0].Path)

	t.Setenv("AWS_REGION", "eu-north-1")
	cfg, err := (&Loader{}).Load(Config{})
	require.NoError(t, err)
	assert.Equal(t, "eu-north-1", cfg.Region)
}

func TestValidate(t *testing.T) {
	for _, good := range []Config{
		{},
		{Region: "us-gov-west-1"},
		{Region: "ap-southeast-5"},
		{RoleARN: "arn:aws-cn:iam::123456789012:role/team/x", ExternalID: "y"},
		{Endpoint: "https://vpce-1.sns.eu-west-1.vpce.amazonaws.com"},
		{Endpoint: "http://127.0.0.1:5000"},
		{Endpoint: "http://[::1]:1"},
		{Endpoint: "http://localhost:1"},
	} {
		assert.NoError(t, good.Validate(), "%+v", good)
	}
	for path, bad := range map[string][]Config{
		"region":      {{Region: "Frankfurt"}, {Region: "eu-west"}},
		"role_arn":    {{RoleARN: "arn:aws:iam::123456789012:user/x"}, {RoleARN: "x"}},
		"external_id": {{ExternalID: "x"}},
		"endpoint":    {{Endpoint: "x"}, {Endpoint: "ftp://x"}, {Endpoint: "http://10.0.0.1"}, {Endpoint: "https://u:secret@x"}, {Endpoint: "http://%zz"}},
	} {
		for _, c := range bad {
			faults := fault.All(c.Validate())
			if assert.Len(t, faults, 1, "%+v", c) {
				assert.Equal(t, path, faults[0].Path)
				assert.NotContains(t, faults[0].Problem, "secret")
			}
		}
	}
}

func TestOr(t *testing.T) {
	base := Config{Region: "r", RoleARN: "role", ExternalID: "id", Endpoint: "e"}
	assert.Equal(t, base, Config{}.Or(base))
	assert.Equal(t, Config{Region: "own", RoleARN: "role", ExternalID: "id", Endpoint: "e"}, Config{Region: "own"}.Or(base))
	assert.Equal(t, Config{Region: "r", RoleARN: "own", Endpoint: "e"}, Config{RoleARN: "own"}.Or(base))
}

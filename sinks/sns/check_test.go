package sns

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	answer := func(publish, look string, status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.NoError(t, r.ParseForm())
			code := publish
			if r.PostForm.Get("Action") == "GetTopicAttributes" {
				code = look
			}
			refuse(w, status, code, "no")
		})
	}
	gone := configFor("")
	gone.TopicARN = "arn:aws:sns:eu-west-1:123456789012:gone"
	big := configFor("")
	big.MaxMessageBytes = maxMessageBytes
	for name, c := range map[string]struct {
		target http.Handler
		cfg    Config
		says   []string
	}{
		"good":            {&fakeSNS{}, configFor(""), nil},
		"may not look":    {answer("InvalidParameter", "AuthorizationError", 400), configFor(""), nil},
		"no such topic":   {&fakeSNS{}, gone, []string{gone.TopicARN, "topic_not_found"}},
		"may not publish": {answer("AuthorizationError", "AuthorizationError", 403), configFor(""), []string{topic, "sns:Publish"}},
		"region": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, 400, "InvalidParameter", "Invalid parameter: TopicArn")
		}), configFor(""), []string{topic, "region eu-west-1"}},
		"larger than allowed": {&fakeSNS{}, big, []string{topic, "262144", "MaximumMessageSize"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Endpoint = serve(t, c.target)
			err := open(t, c.cfg, Deps{}).Check(t.Context())
			if len(c.says) == 0 {
				require.NoError(t, err)
			}
			for _, says := range c.says {
				assert.ErrorContains(t, err, says)
			}
			if fake, ok := c.target.(*fakeSNS); ok {
				assert.Empty(t, fake.all(), "the check delivers nothing")
			}
		})
	}
}

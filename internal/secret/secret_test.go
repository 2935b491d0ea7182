package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/secret"
)

func TestNothingPrintsASecret(t *testing.T) {
	const value = "hunter2-and-more"
	type config struct {
		Password secret.String `json:"password"`
	}
	c := config{Password: value}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "password", c.Password, "config", c)
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	printed := []string{log.String(), string(encoded), c.Password.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, c), fmt.Sprintf(verb, c.Password), fmt.Sprintf(verb, &c))
	}
	for _, text := range printed {
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, fmt.Sprintf("%x", "hunter2"))
		require.Contains(t, text, "redacted")
	}
	require.Equal(t, value, c.Password.Reveal())
}

func TestAnUnsetSecretPrintsNothing(t *testing.T) {
	require.Empty(t, fmt.Sprint(secret.String("")))
}

func TestATextSetsASecret(t *testing.T) {
	var s secret.String
	require.NoError(t, s.UnmarshalText([]byte("x")))
	require.Equal(t, "x", s.Reveal())
}

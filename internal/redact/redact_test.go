package redact_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

const m = redact.Mask

func TestText(t *testing.T) {
	t.Parallel()
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sflKxwRJSMeKKF2QT4"
	for in, want := range map[string]string{
		// Names with secret values.
		"ERROR: password=hunter2":                                               "ERROR: password=" + m,
		"a: b: c:db_password=hunter2 x":                                         "a: b: c:db_password=" + m + " x",
		`{"said": "it: token=hunter2 b"}`:                                       `{"said": "it: token=` + m + ` b"}`,
		"password=hunter2":                                                      "password=" + m,
		"PASSWORD: hunter2, user: bob":                                          "PASSWORD: " + m + ", user: bob",
		`{"api_key":"abc def","n":1}`:                                           `{"api_key":"` + m + `","n":1}`,
		`{\"token\":\"abc\",\"n\":1}`:                                           `{\"token\":\"` + m + `\",\"n\":1}`,
		"dbPassword=x1 host=db":                                                 "dbPassword=" + m + " host=db",
		"POST /cb?access_token=abc&state=5":                                     "POST /cb?access_token=" + m + "&state=5",
		"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG":                           "AWS_SECRET_ACCESS_KEY=" + m,
		"x-auth-token => 12345":                                                 "x-auth-token => " + m,
		"secret := 'a b c' rest":                                                "secret := '" + m + "' rest",
		`password="never closed`:                                                `password="` + m + `"`,
		"mysql --password hunter2 -h db":                                        "mysql --password " + m + " -h db",
		"connection_string=Server=db":                                           "connection_string=" + m,
		"Cookie: sid=1; theme=dark":                                             "Cookie: " + m,
		"Authorization: Digest username=x, nonce=y":                             "Authorization: " + m,
		`"Authorization":"Bearer abc","path":"/a"`:                              `"Authorization":"` + m + `","path":"/a"`,
		"sent bearer abc123def456":                                              "sent bearer " + m,
		"curl -H 'x: Basic dXNlcjpwYXNzd29yZA=='":                               "curl -H 'x: Basic " + m + "'",
		"the password is Tr0ub4dor&3xyz":                                        "the password is " + m,
		"postgres://app:s3cret@db:5432/shop?x=1":                                "postgres://" + m + "@db:5432/shop?x=1",
		"git clone https://tok3n@host/r and ftp://a@b":                          "git clone https://" + m + "@host/r and ftp://" + m + "@b",
		"key AKIAIOSFODNN7EXAMPLE used":                                         "key " + m + " used",
		"got " + jwt + " from x":                                                "got " + m + " from x",
		"ghp_abcdefghijklmnopqrstuvwxyz0123456789":                              m,
		"-----BEGIN RSA PRIVATE KEY----- MIIE -----END RSA PRIVATE KEY----- ok": m + " ok",
		"pass\x1b[31mword=hunter2":                                              "password=" + m,

		// What must stay.
		"token expired":                     "token expired",
		"password is wrong":                 "password is wrong",
		"invalid token: unexpected ':'":     "invalid token: " + m + " ':'",
		"max_tokens=4096 tokens: 12":        "max_tokens=4096 tokens: 12",
		"token_type=Bearer expires_in=3600": "token_type=Bearer expires_in=3600",
		"password_file=/run/secrets/db":     "password_file=/run/secrets/db",
		"secret_name=db/prod":               "secret_name=db/prod",
		"password=":                         "password=",
		"token=null secret: false":          "token=null secret: false",
		"passenger=Bob compass=north":       "passenger=Bob compass=north",
		"tokenizer=bpe secretary=Ann":       "tokenizer=bpe secretary=Ann",
		"key=value id=5f2a9c7b1d3e":         "key=value id=5f2a9c7b1d3e",
		"http://db:8080/a@v1 mail bob@x.io": "http://db:8080/a@v1 mail bob@x.io",
		"basic authentication failed":       "basic authentication failed",
		"token validation unsuccessful":     "token validation unsuccessful",
		"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"panic: runtime error at main.go:12 +0x1d":                                "panic: runtime error at main.go:12 +0x1d",
		"2026-11-24T20:42:00Z level=error code=3":                                 "2026-11-24T20:42:00Z level=error code=3",
	} {
		assert.Equal(t, want, redact.Text(in), "%q", in)
	}
}

func TestTextIsStable(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"password=hunter2", `{"token":"x y"}`, "Authorization: Bearer a1b2c3d4e5", "https://u:p@h/"} {
		once := redact.Text(s)
		assert.Equal(t, once, redact.Text(once))
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                           "plain",
		"\x1b[1;31mred\x1b[0m":            "red",
		"\x1b]0;title\x07text":            "text",
		"\x1b]8;;http://x\x1b\\link":      "link",
		"\x1bPunended text":               "unended text",
		"\u009b31mc1":                     "c1",
		"a\tb\r\n":                        "a b",
		"50%\r100%":                       "50% 100%",
		"nul\x00bell\x07back\x08":         "nulbellback",
		"broken \xff\xfe":                 "broken \ufffd\ufffd",
		"rtl \u202Eevil\u202C zero\u200b": "rtl evil zero",
		"übermäßig 日本 🛟":                  "übermäßig 日本 🛟",
		"\x1b":                            "",
		"tail\x1b[":                       "tail",
	} {
		assert.Equal(t, want, redact.Clean(in), "%q", in)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	assert.Nil(t, redact.Labels(nil))
	assert.Equal(t,
		map[string]string{"team": "payments", "db.password": m, "url": "redis://" + m + "@r/0", "token": "off"},
		redact.Labels(map[string]string{"team": "payments", "db.password": "abc def", "url": "redis://:pw@r/0", "token": "off"}))
}

func TestLinesKeepsTheNewest(t *testing.T) {
	t.Parallel()
	out, cut := redact.Lines([]string{"one", "two", "three"}, redact.Limits{Lines: 2})
	assert.Equal(t, []string{"two", "three"}, out)
	assert.True(t, cut)

	out, cut = redact.Lines([]string{"one", "two"}, redact.Limits{Lines: 2, LineBytes: 80, Bytes: 80})
	assert.Equal(t, []string{"one", "two"}, out)
	assert.False(t, cut)

	out, cut = redact.Lines([]string{"aaaa", "bbbb", "cccc"}, redact.Limits{Bytes: 9})
	assert.Equal(t, []string{"bbbb", "cccc"}, out)
	assert.True(t, cut)

	out, cut = redact.Lines([]string{strings.Repeat("ü", 40)}, redact.Limits{LineBytes: 20})
	assert.Equal(t, []string{strings.Repeat("ü", 8) + "…"}, out)
	assert.True(t, cut)

	out, cut = redact.Lines([]string{"a long last line"}, redact.Limits{Bytes: 8})
	assert.Equal(t, []string{"a lon…"}, out)
	assert.True(t, cut)

	out, cut = redact.Lines(nil, redact.Limits{Lines: 3})
	assert.Empty(t, out)
	assert.False(t, cut)
}

func TestLinesMasksWholeKeys(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("Zm9vYmFy", 8)
	key := []string{"-----BEGIN EC PRIVATE KEY-----", body, body, "-----END EC PRIVATE KEY-----"}
	for name, lines := range map[string][]string{
		"whole":           append(append([]string{"before"}, key...), "after"),
		"begins within":   append(append([]string{}, key[2:]...), "after"),
		"ends within":     append([]string{"before"}, key[:3]...),
		"limit cuts into": append(append([]string{}, key...), "after"),
	} {
		out, _ := redact.Lines(lines, redact.Limits{Lines: 3})
		require.NotEmpty(t, out, name)
		assert.NotContains(t, strings.Join(out, "\n"), body, name)
	}
	out, _ := redact.Lines([]string{key[0], body, "panic: boom"}, redact.Limits{})
	assert.Equal(t, []string{m, m, "panic: boom"}, out)
}

func FuzzLines(f *testing.F) {
	for _, s := range []string{"password=x\ny", "\x1b[31m\xff", "https://a:b@c\n-----BEGIN PRIVATE KEY-----", `"k":"v\"`, "Cookie: a\tb"} {
		f.Add(s, 5, 40, 100)
	}
	f.Fuzz(func(t *testing.T, s string, lines, lineBytes, total int) {
		limits := redact.Limits{Lines: lines & 0xff, LineBytes: lineBytes & 0xfff, Bytes: total & 0xffff}
		out, _ := redact.Lines(strings.Split(s, "\n"), limits)
		size := 0
		for _, line := range out {
			require.True(t, utf8.ValidString(line))
			require.Negative(t, strings.IndexFunc(line, unicode.IsControl))
			size += len(line)
			if limits.LineBytes > 0 {
				require.LessOrEqual(t, len(line), limits.LineBytes)
			}
		}
		if limits.Lines > 0 {
			require.LessOrEqual(t, len(out), limits.Lines)
		}
		if limits.Bytes > 0 {
			require.LessOrEqual(t, size, limits.Bytes)
		}
	})
}

func FuzzSecret(f *testing.F) {
	f.Add("level=info ", " done")
	f.Add("{\"a\":\"", "\"}")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "S3cr3tSw0rdf1sh"
		for _, form := range []string{" password=%s ", " https://u:%s@host/ ", " Authorization: Bearer %s", " --api-key %s "} {
			line := redact.Clean(before) + fmt.Sprintf(form, secret) + redact.Clean(after)
			if strings.Count(line, secret) == 1 && !strings.ContainsAny(before, `"'\`) {
				require.NotContains(t, redact.Text(line), secret, "%q", line)
			}
		}
	})
}

package redact

import (
	"slices"
	"strings"
	"unicode"
)

// secretName reports whether a value under this name is a secret: API_KEY, dbPassword, x-auth-token.
// The last word decides what the value is: token_type and password_file are not secrets.
func secretName(name string) bool {
	if plain(name) && !containsAny(strings.ToLower(name), nameWords[:]) {
		return false
	}
	words := split(name)
	if len(words) == 0 || slices.Contains(aboutWords[:], words[len(words)-1]) {
		return false
	}
	for i, w := range words {
		if slices.Contains(secretWords[:], w) {
			return true
		}
		if i > 0 && slices.Contains(secretPairs[:], words[i-1]+" "+w) {
			return true
		}
		for _, end := range secretEnds {
			if strings.HasSuffix(w, end) {
				return true
			}
		}
	}
	return false
}

var (
	secretWords = [...]string{
		"pass", "pwd", "passwd", "password", "passwords", "passphrase", "passcode", "secret", "secrets", "token", "apikey",
		"authorization", "credential", "credentials", "creds", "cookie", "jwt", "bearer", "otp", "dsn",
	}
	secretPairs = [...]string{
		"api key", "access key", "private key", "secret key", "auth key", "account key", "shared key", "signing key",
		"encryption key", "master key", "session id", "session key", "client key", "license key", "connection string",
	}
	secretEnds = [...]string{"password", "passwd", "secret", "token", "apikey", "passphrase", "secretkey", "accesskey"}
	// aboutWords end a name whose value tells something about a secret.
	aboutWords = [...]string{
		"count", "type", "name", "length", "len", "size", "limit", "max", "min", "used", "expires", "expiry", "expired", "in", "at",
		"ttl", "age", "path", "file", "dir", "url", "uri", "arn", "policy", "version", "status", "error", "valid", "required", "enabled",
		"config", "hash",
	}
)

// split cuts a name into lower-case words at separators and at changes from lower to upper case.
func split(name string) []string {
	var words []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			words = append(words, strings.ToLower(word.String()))
			word.Reset()
		}
	}
	var last rune
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end()
			last = 0
			continue
		}
		if unicode.IsUpper(r) && unicode.IsLower(last) {
			end()
		}
		word.WriteRune(r)
		last = r
	}
	end()
	return words
}

// random reports whether a word looks drawn by chance and not written: at least three kinds of
// characters, or two kinds and many different ones.
func random(s string) bool {
	var lower, upper, digit, other, turns int
	seen := map[rune]bool{}
	var last rune
	for _, r := range s {
		seen[r] = true
		switch {
		case unicode.IsLower(r):
			lower = 1
		case unicode.IsUpper(r):
			upper = 1
			if unicode.IsLower(last) {
				turns++
			}
		case unicode.IsDigit(r):
			digit = 1
		default:
			other = 1
		}
		last = r
	}
	kinds := lower + upper + digit + other
	return kinds >= 3 || digit == 1 && kinds == 2 && len(seen) >= 8 || turns >= 2
}

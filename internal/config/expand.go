package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

var reference = regexp.MustCompile(`\$\{([a-z]+):([^}]*)\}`)

// expand replaces ${env:NAME} and ${file:PATH} in one value. Everything else, a lone $ included, stays
// as it is. An error names the reference and never the secret.
func expand(raw string) (string, error) {
	var failed error
	out := reference.ReplaceAllStringFunc(raw, func(ref string) string {
		m := reference.FindStringSubmatch(ref)
		value, err := lookUp(m[1], m[2])
		if err != nil && failed == nil {
			failed = err
		}
		return value
	})
	return out, failed
}

func lookUp(kind, name string) (string, error) {
	switch kind {
	case "env":
		value, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s of ${env:%s} is not set", name, name)
		}
		return value, nil
	case "file":
		b, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("the file of ${file:%s} can't be read: %w", name, err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return "", fmt.Errorf("unknown reference ${%s:…}; use ${env:NAME} or ${file:PATH}", kind)
}

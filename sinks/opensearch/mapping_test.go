package opensearch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/schematest"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

func TestEveryFieldIsMapped(t *testing.T) {
	var mapping map[string]any
	require.NoError(t, json.Unmarshal(mappings, &mapping))
	e := full(t)
	events := append(schematest.Golden(t), e)
	events = append(events, sinktest.Events()...)
	used := map[string]bool{}
	for i := range events {
		assertMapped(t, document(t, &events[i]), mapping, "", used)
	}
	for _, path := range leaves(mapping, "") {
		assert.True(t, used[path], "%s is mapped and never written", path)
	}
}

func assertMapped(t *testing.T, doc, mapping map[string]any, path string, used map[string]bool) {
	t.Helper()
	properties, _ := mapping["properties"].(map[string]any)
	for name, value := range doc {
		at := strings.TrimPrefix(path+"."+name, ".")
		field, ok := properties[name].(map[string]any)
		if !assert.True(t, ok, "%s is not mapped", at) {
			continue
		}
		kind, _ := field["type"].(string)
		used[at] = true
		if kind == "" {
			inner, isObject := value.(map[string]any)
			require.True(t, isObject, "%s is mapped as an object and written as %T", at, value)
			assertMapped(t, inner, field, at, used)
			continue
		}
		assertKind(t, at, kind, value)
	}
}

func assertKind(t *testing.T, at, kind string, value any) {
	t.Helper()
	if list, ok := value.([]any); ok && kind != "object" {
		for _, one := range list {
			assertKind(t, at, kind, one)
		}
		return
	}
	switch kind {
	case "keyword", "text":
		assert.IsType(t, "", value, at)
	case "long", "integer", "double":
		assert.IsType(t, 0.0, value, at)
	case "boolean":
		assert.IsType(t, true, value, at)
	case "flat_object":
		assert.IsType(t, map[string]any{}, value, at)
	case "date":
		_, err := time.Parse(time.RFC3339Nano, value.(string))
		assert.NoError(t, err, at)
	case "object":
	default:
		assert.Fail(t, "a type that no document of ours has", "%s: %s", at, kind)
	}
}

func leaves(mapping map[string]any, path string) []string {
	properties, ok := mapping["properties"].(map[string]any)
	if !ok {
		return []string{path}
	}
	var all []string
	for name, field := range properties {
		all = append(all, leaves(field.(map[string]any), strings.TrimPrefix(path+"."+name, "."))...)
	}
	return all
}

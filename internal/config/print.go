package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/bellbuoy/bellbuoy/internal/secret"
)

// Print returns the config in force as YAML. What came from a ${…} reference is shown as the
// reference, and a secret as <redacted>.
func (l *Loaded) Print() ([]byte, error) {
	out, err := yaml.Marshal(l.plain(reflect.ValueOf(l.Config), ""))
	if err != nil {
		return nil, fmt.Errorf("encode the config: %w", err)
	}
	return out, nil
}

// plain turns a value into ordered maps, lists and scalars. Fields keep the order of their struct.
func (l *Loaded) plain(v reflect.Value, path string) any {
	if ref, ok := l.refs[path]; ok && (v.Type() != reflect.TypeFor[secret.String]() || alone(ref)) {
		return ref
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok && v.Kind() != reflect.Pointer {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return l.plain(v.Elem(), path)
	case reflect.Struct:
		return l.plainStruct(v, path)
	case reflect.Map:
		var m yaml.MapSlice
		for _, key := range sortedMapKeys(v) {
			m = append(m, yaml.MapItem{Key: key, Value: l.plain(v.MapIndex(reflect.ValueOf(key)), join(path, key))})
		}
		return m
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, l.plain(v.Index(i), fmt.Sprintf("%s[%d]", path, i)))
		}
		return list
	}
	return v.Interface()
}

// alone says that a text is one reference and nothing else: what stands beside one in a secret is a part of it.
func alone(ref string) bool {
	return strings.HasPrefix(ref, "${") && strings.Index(ref, "}") == len(ref)-1
}

func (l *Loaded) plainStruct(v reflect.Value, path string) yaml.MapSlice {
	byIndex := map[int]string{}
	for key, i := range fieldsOf(v.Type()) {
		byIndex[i] = key
	}
	var m yaml.MapSlice
	for i := range v.NumField() {
		key, ok := byIndex[i]
		if !ok || v.Field(i).Kind() == reflect.Pointer && v.Field(i).IsNil() {
			continue
		}
		m = append(m, yaml.MapItem{Key: key, Value: l.plain(v.Field(i), join(path, key))})
	}
	return m
}

func sortedMapKeys(v reflect.Value) []string {
	keys := map[string]bool{}
	for _, k := range v.MapKeys() {
		keys[k.String()] = true
	}
	return sortedKeys(keys)
}

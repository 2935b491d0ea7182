package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// decoder writes one YAML document into Go values. Unlike a library's strict mode it goes on after a
// fault, so that a user sees all of them at once, and it remembers where each field stood, so that
// later checks can point at it.
type decoder struct {
	file     string
	places   map[string]place
	refs     map[string]string
	anchors  map[string]ast.Node
	defaults func(reflect.Type) (reflect.Value, bool)
	expand   func(string) (string, error)
	faults   Faults
	// misspelt are the paths of mappings with an unknown key: what seems to be missing there may be that.
	misspelt map[string]bool
}

type place struct {
	file         string
	line, column int
}

func (d *decoder) fault(n ast.Node, format string, args ...any) {
	p := position(n)
	d.faults = append(d.faults, Fault{d.file, p.Line, p.Column, fmt.Sprintf(format, args...)})
}

// position is where a node starts. A mapping's own token is its first colon, so its first key counts.
func position(n ast.Node) token.Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return position(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(n.Key)
	}
	if n == nil || n.GetToken() == nil {
		return token.Position{}
	}
	return *n.GetToken().Position
}

func (d *decoder) decode(n ast.Node, path string, v reflect.Value) {
	n = d.resolve(n)
	if n == nil {
		return
	}
	if _, known := d.places[path]; !known || path == "" {
		p := position(n)
		d.places[path] = place{d.file, p.Line, p.Column}
	}
	if n.Type() == ast.NullType {
		d.null(v)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, path, u)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		d.decode(n, path, d.allocate(v))
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v)
	case reflect.Slice:
		d.sequence(n, path, v)
	default:
		d.scalar(n, path, v)
	}
}

// resolve follows anchors, aliases and tags to the node that holds the value.
func (d *decoder) resolve(n ast.Node) ast.Node {
	for range 100 {
		switch t := n.(type) {
		case *ast.AnchorNode:
			d.anchors[t.Name.GetToken().Value] = t.Value
			n = t.Value
		case *ast.AliasNode:
			n = d.anchors[t.Value.GetToken().Value]
		case *ast.TagNode:
			n = t.Value
		default:
			return n
		}
	}
	d.fault(n, "aliases refer to each other in a circle")
	return nil
}

// null keeps the default, but a component that is only named (docker:) is there with its defaults.
func (d *decoder) null(v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		d.allocate(v)
	}
}

func (d *decoder) allocate(v reflect.Value) reflect.Value {
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
		if def, ok := d.defaults(v.Type().Elem()); ok {
			v.Elem().Set(def)
		}
	}
	return v.Elem()
}

func (d *decoder) structure(n ast.Node, path string, v reflect.Value) {
	known := fieldsOf(v.Type())
	seen := map[string]bool{}
	for _, kv := range d.pairs(n, path) {
		key := kv.Key.GetToken().Value
		i, ok := known[key]
		switch {
		case !ok:
			d.misspelt[path] = true
			d.fault(kv.Key, "unknown key %q%s", key, fault.DidYouMean(key, sortedKeys(known)))
		case seen[key]:
			d.fault(kv.Key, "key %q is given twice; remove one", key)
		default:
			seen[key] = true
			d.member(kv, join(path, key), v.Field(i))
		}
	}
}

// member decodes the value of one key and remembers the place of the key itself where the value has
// none of its own, such as an empty one.
func (d *decoder) member(kv *ast.MappingValueNode, path string, v reflect.Value) {
	p := position(kv.Key)
	d.places[path] = place{d.file, p.Line, p.Column}
	if kv.Value != nil && isScalar(kv.Value) {
		p = position(kv.Value)
		d.places[path] = place{d.file, p.Line, p.Column}
	}
	d.decode(kv.Value, path, v)
}

func (d *decoder) mapping(n ast.Node, path string, v reflect.Value) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, kv := range d.pairs(n, path) {
		key := kv.Key.GetToken().Value
		item := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(reflect.ValueOf(key)); old.IsValid() {
			item.Set(old)
		} else if def, ok := d.defaults(item.Type()); ok {
			item.Set(def)
		}
		d.member(kv, join(path, key), item)
		v.SetMapIndex(reflect.ValueOf(key), item)
	}
}

func (d *decoder) pairs(n ast.Node, path string) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	d.fault(n, "%s must be a mapping of keys to values, not %s", name(path), kindOf(n))
	return nil
}

func (d *decoder) sequence(n ast.Node, path string, v reflect.Value) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fault(n, "%s must be a list, not %s", name(path), kindOf(n))
		return
	}
	if v.Type().Elem().Kind() == reflect.String {
		// A list of plain values replaces its default, and an empty one is not a missing one; a list of components
		// grows over the files.
		v.Set(reflect.MakeSlice(v.Type(), 0, len(list.Values)))
	}
	for _, item := range list.Values {
		e := reflect.New(v.Type().Elem()).Elem()
		if def, ok := d.defaults(e.Type()); ok {
			e.Set(def)
		}
		d.decode(item, fmt.Sprintf("%s[%d]", path, v.Len()), e)
		v.Set(reflect.Append(v, e))
	}
}

func (d *decoder) scalar(n ast.Node, path string, v reflect.Value) {
	s, ok := d.value(n, path)
	if !ok {
		return
	}
	if err := setScalar(v, s); err != nil {
		d.fault(n, "%s must be %s, not %q", name(path), expected(v.Type()), s)
	}
}

func (d *decoder) text(n ast.Node, path string, u encoding.TextUnmarshaler) {
	s, ok := d.value(n, path)
	if !ok {
		return
	}
	if err := u.UnmarshalText([]byte(s)); err != nil {
		d.fault(n, "%s: %v", name(path), err)
	}
}

// value returns the text of a scalar with its references expanded.
func (d *decoder) value(n ast.Node, path string) (string, bool) {
	if !isScalar(n) {
		d.fault(n, "%s must be a single value, not %s", name(path), kindOf(n))
		return "", false
	}
	raw := n.GetToken().Value
	if lit, ok := n.(*ast.LiteralNode); ok {
		raw = lit.Value.Value
	}
	s, err := d.expand(raw)
	if err != nil {
		d.fault(n, "%s: %v", name(path), err)
		return "", false
	}
	if s != raw {
		d.refs[path] = raw
	}
	return s, true
}

func isScalar(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return true
	}
	return false
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.GetToken().Value)
}

func setScalar(v reflect.Value, s string) error {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(s)
		v.SetInt(int64(d))
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		v.SetBool(b)
		return err
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, v.Type().Bits())
		v.SetInt(i)
		return err
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		v.SetFloat(f)
		return err
	default:
		return fmt.Errorf("a field of type %s can't be set from text", v.Type())
	}
	return nil
}

func expected(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return `a duration such as "30s" or "5m"`
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// fieldsOf returns the index of each field by its YAML key.
func fieldsOf(t reflect.Type) map[string]int {
	known := map[string]int{}
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if key != "" && key != "-" {
			known[key] = i
		}
	}
	return known
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func name(path string) string {
	if path == "" {
		return "the config"
	}
	return path
}

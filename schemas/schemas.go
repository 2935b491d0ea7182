package schemas

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

//go:generate go run ./gen

// Version is the version of the whole contract: the major version of the types and the highest minor
// version of a schema.
const Version = "1.0"

// Envelope is the name of the schema that every event fits.
const Envelope = "envelope"

// ErrUnknown is wrapped by the error of Show for a name that List does not have.
var ErrUnknown = errors.New("unknown schema")

//go:embed json/*.json testdata/golden/*.json
var files embed.FS

// List returns the name of every schema, the envelope first, then the types in the order of the registry.
func List() []string {
	names := []string{Envelope}
	for _, info := range event.Types() {
		names = append(names, info.Name())
	}
	return names
}

// Show returns one schema as a document that needs no other: the schema of a type brings the envelope
// along in its $defs. The name is one of List or a whole CloudEvents type. The error wraps ErrUnknown.
func Show(name string) ([]byte, error) {
	name = short(name)
	text, err := read("json", name)
	if err != nil || name == Envelope {
		return text, err
	}
	envelope, err := read("json", Envelope)
	if err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(bytes.TrimSpace(text), []byte("}"))
	bundle := jsontext.Value(fmt.Sprintf("%s, \"$defs\": {\"envelope\": %s}}", body, envelope))
	if err := bundle.Indent(jsontext.WithIndent("  ")); err != nil {
		return nil, fmt.Errorf("bundle schema %s: %w", name, err)
	}
	return append(bundle, '\n'), nil
}

// Example returns one realistic event of a type, indented for people; it names the type like Show does.
// The examples never change within a major version: they are what a consumer may build on. The error
// wraps ErrUnknown.
func Example(name string) ([]byte, error) { return read("testdata/golden", short(name)) }

// short returns the name of the schema for a name or a whole type.
func short(name string) string {
	if info, ok := event.Lookup(event.Type(name)); ok {
		return info.Name()
	}
	return name
}

func read(dir, name string) ([]byte, error) {
	text, err := files.ReadFile(dir + "/" + name + ".json")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, fmt.Errorf("%w %.80q; known are %s", ErrUnknown, name, strings.Join(List(), ", "))
	}
	return text, err
}

// Validator checks encoded events against the schemas.
type Validator struct {
	envelope *jsonschema.Schema
	types    map[string]*jsonschema.Schema
}

// New compiles all schemas, which takes some ms; keep the Validator.
func New() (*Validator, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	for _, name := range List() {
		text, err := read("json", name)
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", name, err)
		}
		if err := c.AddResource(idOf(doc), doc); err != nil {
			return nil, fmt.Errorf("add schema %s: %w", name, err)
		}
	}
	v := &Validator{types: map[string]*jsonschema.Schema{}}
	var err error
	if v.envelope, err = c.Compile(event.EnvelopeSchema); err != nil {
		return nil, fmt.Errorf("compile schema %s: %w", Envelope, err)
	}
	for _, info := range event.Types() {
		if v.types[string(info.Type)], err = c.Compile(info.Schema()); err != nil {
			return nil, fmt.Errorf("compile schema %s: %w", info.Name(), err)
		}
	}
	return v, nil
}

func idOf(doc any) string {
	id, _ := doc.(map[string]any)["$id"].(string)
	return id
}

// Validate checks one event in structured JSON against the schema of its type; an event of a type that
// is not of this contract must fit the envelope. The error wraps event.ErrInvalid and names each place
// and rule.
func (v *Validator) Validate(encoded []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("%w: %w", event.ErrInvalid, err)
	}
	schema := v.envelope
	if members, ok := doc.(map[string]any); ok {
		if name, ok := members["type"].(string); ok && v.types[name] != nil {
			schema = v.types[name]
		}
	}
	if err := schema.Validate(doc); err != nil {
		return fmt.Errorf("%w: %w", event.ErrInvalid, err)
	}
	return nil
}

package main

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const dialect = "https://json-schema.org/draft/2020-12/schema"

// schema is the part of JSON Schema 2020-12 that the contract uses.
type schema struct {
	Schema      string     `json:"$schema,omitzero"`
	ID          string     `json:"$id,omitzero"`
	Ref         string     `json:"$ref,omitzero"`
	Title       string     `json:"title,omitzero"`
	Description string     `json:"description,omitzero"`
	Type        string     `json:"type,omitzero"`
	Format      string     `json:"format,omitzero"`
	Const       string     `json:"const,omitzero"`
	Pattern     string     `json:"pattern,omitzero"`
	MinLength   int        `json:"minLength,omitzero"`
	Minimum     int        `json:"minimum,omitzero"`
	Maximum     int        `json:"maximum,omitzero"`
	OpenEnum    []string   `json:"x-open-enum,omitzero"`
	AllOf       []schema   `json:"allOf,omitzero"`
	Required    []string   `json:"required,omitzero"`
	Properties  properties `json:"properties,omitzero"`
	Additional  *schema    `json:"additionalProperties,omitzero"`
	Items       *schema    `json:"items,omitzero"`
	Defs        properties `json:"$defs,omitzero"`
}

type property struct {
	name string
	schema
}

// properties is an object that keeps its order.
type properties []property

// MarshalJSONTo writes the members in order.
func (p properties) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, member := range p {
		if err := enc.WriteToken(jsontext.String(member.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, member.schema); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// schemaFiles returns the text of every schema by file name.
func schemaFiles(c comments) (map[string][]byte, error) {
	envelope, err := envelopeSchema(c)
	if err != nil {
		return nil, err
	}
	all := map[string]schema{"envelope.json": envelope}
	for _, info := range event.Types() {
		all[info.Name()+".json"] = typeSchema(info)
	}
	files := map[string][]byte{}
	for name, s := range all {
		text, err := json.Marshal(s, jsontext.WithIndent("  "))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = append(text, '\n')
	}
	return files, nil
}

// typeSchema narrows the envelope to one type.
func typeSchema(info event.TypeInfo) schema {
	var needs []string
	for _, section := range info.Needs {
		needs = append(needs, string(section))
	}
	return schema{
		Schema: dialect, ID: info.Schema(), Title: string(info.Type), Description: info.Means, Type: "object",
		AllOf: []schema{{Ref: event.EnvelopeSchema}},
		Properties: properties{
			{"type", schema{Const: string(info.Type)}},
			{"dataschema", schema{Pattern: fmt.Sprintf(`/%s/%d\.[0-9]+\.json$`, strings.ReplaceAll(info.Name(), ".", `\.`), info.Major)}},
			{"data", schema{Required: needs}},
		},
	}
}

// envelopeSchema describes every event: the attributes of the Go struct and those that the codec adds.
func envelopeSchema(c comments) (schema, error) {
	s := schema{
		Schema: dialect, ID: event.EnvelopeSchema, Title: "Bellbuoy event", Type: "object",
		Description: "A CloudEvent 1.0 in structured JSON. Consumers ignore members and types that they do not know.",
		Required: []string{
			"specversion", "id", "source", "type", "subject", "time", "recordedtime", "partitionkey",
			"severitynumber", "severitytext", "datacontenttype", "dataschema", "data",
		},
	}
	attributes, err := c.fields(reflect.TypeFor[event.Event]())
	if err != nil {
		return s, err
	}
	for _, a := range attributes {
		s.Properties = append(s.Properties, property{a.name, attributeSchema(a, c)})
	}
	for _, a := range addedAttributes() {
		s.Properties = append(s.Properties, property{a.name, a.schema})
	}
	s.Defs, err = definitions(c, reflect.TypeFor[event.Data](), nil)
	return s, err
}

// attributeSchema adds to the type of an attribute what CloudEvents and the id rules say.
func attributeSchema(a field, c comments) schema {
	s := c.typeOf(a.typ)
	s.Description = a.doc
	switch a.name {
	case "id", "causationid":
		s.Pattern = "^[a-z2-7]{32}$"
	case "sequence":
		s.Pattern = "^[0-9]{14}-[0-9]{10}$"
	case "source":
		s.Format = "uri-reference"
	case "severitynumber":
		s.Minimum, s.Maximum = 1, 24
	}
	if a.required && s.Type == "string" && s.Format == "" && s.Pattern == "" {
		s.MinLength = 1
	}
	return s
}

// addedAttributes are written by the codec and have no field in the Go struct.
func addedAttributes() properties {
	return properties{
		{"specversion", schema{Description: "specversion is the version of CloudEvents.", Const: "1.0"}},
		{"severitytext", schema{Description: "severitytext is the OpenTelemetry name of the severity.", Type: "string", OpenEnum: []string{"INFO", "WARN", "ERROR", "FATAL"}}},
		{"datacontenttype", schema{Description: "datacontenttype is the media type of data.", Const: "application/json"}},
		{"dataschema", schema{Description: "dataschema is the URI of the JSON Schema of the type, with its minor version.", Type: "string", Format: "uri"}},
	}
}

// definitions returns the type and every section below it, each once, in the order of first use.
func definitions(c comments, t reflect.Type, known properties) (properties, error) {
	for _, d := range known {
		if d.name == t.Name() {
			return known, nil
		}
	}
	members, err := c.fields(t)
	if err != nil {
		return nil, err
	}
	s := schema{Description: c.of[t.Name()], Type: "object"}
	for _, m := range members {
		p := c.typeOf(m.typ)
		p.Description = m.doc
		s.Properties = append(s.Properties, property{m.name, p})
		if m.required {
			s.Required = append(s.Required, m.name)
		}
	}
	known = append(known, property{t.Name(), s})
	for _, m := range members {
		below := m.typ
		if below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		if isSection(below) {
			if known, err = definitions(c, below, known); err != nil {
				return nil, err
			}
		}
	}
	return known, nil
}

func (c comments) typeOf(t reflect.Type) schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return schema{Type: "string", Format: "date-time"}
	case isSection(t):
		return schema{Ref: "#/$defs/" + t.Name()}
	case t.Kind() == reflect.Slice:
		items := c.typeOf(t.Elem())
		return schema{Type: "array", Items: &items}
	case t.Kind() == reflect.Map:
		values := c.typeOf(t.Elem())
		return schema{Type: "object", Additional: &values}
	case t.Kind() == reflect.Bool:
		return schema{Type: "boolean"}
	case t.Kind() == reflect.Float64:
		return schema{Type: "number"}
	case t.Kind() == reflect.String:
		return schema{Type: "string", OpenEnum: c.values[t.Name()]}
	default:
		return schema{Type: "integer"}
	}
}

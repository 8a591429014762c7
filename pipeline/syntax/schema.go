package syntax

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// SchemaURL is where the schema of the newest version lies.
const SchemaURL = "https://raw.githubusercontent.com/slipway-ci/slipway/main/schema/slipway.schema.json"

// A schema is a JSON Schema, as far as we need one.
type schema struct {
	Schema               string             `json:"$schema,omitempty"`
	ID                   string             `json:"$id,omitempty"`
	Ref                  string             `json:"$ref,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 types              `json:"type,omitempty"`
	Const                any                `json:"const,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Not                  *schema            `json:"not,omitempty"`
	AllOf                []*schema          `json:"allOf,omitempty"`
	AnyOf                []*schema          `json:"anyOf,omitempty"`
	OneOf                []*schema          `json:"oneOf,omitempty"`
	If                   *schema            `json:"if,omitempty"`
	Then                 *schema            `json:"then,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // false, or a *schema
	MinProperties        int                `json:"minProperties,omitempty"`
	Required             []string           `json:"required,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	Defs                 map[string]*schema `json:"$defs,omitempty"`

	byHand string // path of what the decoder reads by hand, until sections says what it is
}

// types are one or several types of JSON.
type types []string

// MarshalJSON encodes one type as a word, as people write it.
func (t types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// Schema returns the JSON Schema of pipeline files with stages of these kinds,
// in draft 2020-12. It is made of the very tables that decode, so that it knows
// the keys that the decoder knows; what it cannot say (names, types of
// expressions, cycles) is left to [Parser.Parse]: a file that Parse takes is
// valid.
func Schema(kinds []pipeline.Kind) ([]byte, error) {
	g := &generator{defs: map[string]*schema{}}
	root := g.structure(reflect.TypeFor[file](), "")
	root.Schema, root.ID, root.Title = "https://json-schema.org/draft/2020-12/schema", SchemaURL, "slipway pipeline"
	root.Type = []string{"object"}
	root.Properties["slipway"] = &schema{Description: root.Properties["slipway"].Description, Const: Version}
	root.Properties["name"] = &schema{Description: root.Properties["name"].Description, Type: []string{"string", "integer"}, Pattern: pipelineName().String()}
	g.sections(root, kinds)
	g.complete(root)
	for _, name := range pipeline.Keys(g.defs) {
		g.complete(g.defs[name])
	}
	root.Defs = g.defs
	if g.err != nil {
		return nil, g.err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// A generator makes schemas of Go types as the decoder reads them.
type generator struct {
	defs    map[string]*schema
	plain   bool // no expression may stand here
	partial bool // keys that are required may come from defaults:, and null takes one of those away
	err     error
}

const (
	anyExpression = `\$\{\{`              // somewhere in a text
	oneExpression = `^\$\{\{[\s\S]*\}\}$` // nothing but one: it keeps its type
)

// sections fills in what the file's table leaves to be decoded by hand.
func (g *generator) sections(root *schema, kinds []pipeline.Kind) {
	byName := func(key string, entry *schema, types ...string) {
		root.Properties[key] = &schema{
			Description: root.Properties[key].Description, Type: types,
			PropertyNames: &schema{Pattern: idName().String()}, AdditionalProperties: entry,
		}
	}
	g.defs["stage"] = g.stage(kinds)
	root.Properties["defaults"] = &schema{Description: root.Properties["defaults"].Description, Ref: "#/$defs/defaults"}
	all := &schema{Properties: map[string]*schema{}}
	for _, k := range kinds {
		if s := strict(reflect.TypeOf(k.New())); s != nil {
			all.Properties[k.Name] = s
		}
	}
	root.If = &schema{Not: &schema{AnyOf: []*schema{{Required: []string{"defaults"}}, {Required: []string{"include"}}}}}
	root.Then = &schema{Properties: map[string]*schema{"stages": {AdditionalProperties: all}}}
	byName("stages", &schema{Ref: "#/$defs/stage"}, "object")
	root.Properties["stages"].MinProperties = 1

	g.plain = true
	g.defs["constant"] = &schema{
		Description: "A value that stays as it is written: no expression, and fractions in quotes.",
		AnyOf: []*schema{
			g.without(&schema{Type: []string{"string"}}),
			{Type: []string{"integer", "boolean", "null"}},
			{Type: []string{"array"}, Items: &schema{Ref: "#/$defs/constant"}},
			{Type: []string{"object"}, AdditionalProperties: &schema{Ref: "#/$defs/constant"}},
		},
	}
	v := g.structure(reflect.TypeFor[variable](), "")
	v.Properties["type"] = &schema{Description: v.Properties["type"].Description, Enum: varTypes}
	v.Properties["default"] = &schema{Description: v.Properties["default"].Description, Ref: "#/$defs/constant"}
	v.Properties["oneOf"] = &schema{Description: v.Properties["oneOf"].Description, Type: []string{"array"}, Items: &schema{Ref: "#/$defs/constant"}}
	for _, t := range []struct{ ours, json string }{
		{"string", "string"}, {"int", "integer"}, {"bool", "boolean"}, {"list", "array"}, {"map", "object"}, {"secret", "string"},
	} {
		v.AllOf = append(v.AllOf, &schema{
			If:   &schema{Properties: map[string]*schema{"type": {Const: t.ours}}, Required: []string{"type"}},
			Then: &schema{Properties: map[string]*schema{"default": {Type: []string{t.json, "null"}}}},
		})
	}
	g.defs["var"] = v
	short := g.without(&schema{Description: "Short for default.", Type: []string{"string", "integer", "boolean", "null"}})
	byName("vars", &schema{AnyOf: []*schema{short, {Ref: "#/$defs/var"}}}, "object", "null")
	g.defs["environment"] = g.structure(reflect.TypeFor[environment](), "")
	env := g.defs["environment"].Properties["vars"]
	env.AdditionalProperties = &schema{Ref: "#/$defs/constant"}
	byName("environments", &schema{Ref: "#/$defs/environment"}, "object", "null")
	g.defs["registry"] = g.structure(reflect.TypeFor[registry](), "")
	g.defs["registry"].Properties["pullAs"].Pattern = registryPull().String()
	byName("registries", &schema{Ref: "#/$defs/registry"}, "object", "null")
	root.Properties["registries"].PropertyNames.Pattern = registryHost().String()
	g.plain = false
}

// stage returns the schema of a stage: the common keys, and exactly one kind.
func (g *generator) stage(kinds []pipeline.Kind) *schema {
	st := g.structure(reflect.TypeFor[common](), "")
	st.Type = []string{"object"}
	for _, key := range keysOf(reflect.TypeFor[stageDefaults]()) { // null takes a default away
		p := *st.Properties[key]
		st.Properties[key] = &schema{Description: p.Description, AnyOf: []*schema{&p, {Type: []string{"null"}}}}
		p.Description = ""
	}
	st.Properties["matrix"] = g.matrix(st.Properties["matrix"].Description)
	defaults := &schema{Type: []string{"object", "null"}, Properties: map[string]*schema{}, AdditionalProperties: false}
	for _, k := range kinds {
		g.partial = true
		g.defs[k.Name] = g.structure(reflect.TypeOf(k.New()).Elem(), k.Name)
		g.partial = false
		g.defs[k.Name].Description = sentence(k.Summary)
		st.Properties[k.Name] = &schema{Ref: "#/$defs/" + k.Name}
		st.OneOf = append(st.OneOf, &schema{Required: []string{k.Name}})
		defaults.Properties[k.Name] = &schema{Ref: "#/$defs/" + k.Name}
	}
	defaults.Properties[keyStage] = g.structure(reflect.TypeFor[stageDefaults](), keyStage)
	g.defs["defaults"] = defaults
	return st
}

// matrix returns the schema of what makes several steps of a stage.
func (g *generator) matrix(doc string) *schema {
	cells := func(doc string) *schema {
		return &schema{Description: doc, Type: []string{"array"}, Items: &schema{
			Type: []string{"object"}, MinProperties: 1, PropertyNames: &schema{Pattern: idName().String()}, AdditionalProperties: g.promised(hint{any: true}),
		}}
	}
	return &schema{
		Description: doc, Type: []string{"object"}, PropertyNames: &schema{Pattern: idName().String()},
		Properties: map[string]*schema{
			keyInclude: cells("Further cells, and further values for cells that are there."),
			keyExclude: cells("Cells to leave out."),
			keyMax:     {Description: "The most cells that there may be.", Type: []string{"integer"}},
		},
		AdditionalProperties: &schema{AnyOf: []*schema{
			{Type: []string{"array"}, Items: g.promised(hint{any: true})},
			{Type: []string{"string"}, Pattern: oneExpression},
		}},
	}
}

// strict returns what a mapping of type t cannot do without, when no defaults
// can give it; nil if that is nothing.
func strict(t reflect.Type) *schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == valueType {
		return nil
	}
	s := &schema{Properties: map[string]*schema{}}
	for _, f := range fieldsOf(t) {
		if f.required {
			s.Required = append(s.Required, f.key)
		}
		if in := strict(f.Type); in != nil {
			s.Properties[f.key] = in
		}
	}
	if len(s.Required)+len(s.Properties) == 0 {
		return nil
	}
	if len(s.Required) > 0 {
		s.Not = &schema{Type: []string{"null"}}
	}
	return s
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// complete makes sure that nothing which is decoded by hand was forgotten.
func (g *generator) complete(s *schema) {
	if s.byHand != "" {
		g.fail("%s is decoded by hand, and sections does not say what it is", s.byHand)
	}
	for _, key := range pipeline.Keys(s.Properties) {
		g.complete(s.Properties[key])
	}
	if more, ok := s.AdditionalProperties.(*schema); ok {
		g.complete(more)
	}
	for _, part := range append(s.AnyOf, s.Items) {
		if part != nil {
			g.complete(part)
		}
	}
}

func (g *generator) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf(format, args...)
	}
}

package syntax

import (
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// structure returns the schema of a mapping with fixed keys. Path names it in
// errors.
func (g *generator) structure(t reflect.Type, path string) *schema {
	s := &schema{Type: []string{"object", "null"}, Properties: map[string]*schema{}, AdditionalProperties: false}
	for _, f := range fieldsOf(t) {
		if f.Tag.Get("doc") == "" {
			g.fail("%s has no doc tag", join(path, f.key))
		}
		p := g.value(f.Type, f.hint, join(path, f.key))
		if words := f.Tag.Get("enum"); words != "" {
			p = g.enum(strings.Split(words, ","))
		}
		if g.partial {
			p = &schema{AnyOf: []*schema{p, {Type: []string{"null"}}}}
		}
		p.Description = f.Tag.Get("doc")
		s.Properties[f.key] = p
		if f.required && !g.partial {
			s.Required = append(s.Required, f.key)
		}
	}
	if len(s.Required) > 0 { // nothing is read as an empty mapping
		s.Type = []string{"object"}
	}
	return s
}

// enum is one of words, or an expression that gives one.
func (g *generator) enum(words []string) *schema {
	if g.plain {
		return &schema{Enum: words}
	}
	return &schema{AnyOf: []*schema{{Enum: words}, {Type: []string{"string"}, Pattern: anyExpression}}}
}

// value returns the schema of what decoder.decode reads into a t.
func (g *generator) value(t reflect.Type, h hint, path string) *schema {
	switch {
	case t == valueType:
		return g.promised(h)
	case t == durationType:
		return &schema{Type: []string{"string"}, Pattern: `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*$`}
	case t == reflect.TypeFor[yaml.Node]():
		return &schema{byHand: path}
	}
	switch t.Kind() {
	case reflect.Interface:
		return new(schema)
	case reflect.Pointer:
		return g.value(t.Elem(), h, path)
	case reflect.Struct:
		return g.named(t, path)
	case reflect.Slice:
		was := g.partial
		g.partial = false // lists are replaced, not merged
		items := g.value(t.Elem(), h, path+"[]")
		g.partial = was
		return &schema{Type: []string{"array", "null"}, Items: items}
	case reflect.Map:
		return &schema{Type: []string{"object", "null"}, AdditionalProperties: g.value(t.Elem(), h, path+".*")}
	case reflect.String: // 1.20 and yes are text where text is wanted
		s := &schema{Type: []string{"string", "number", "boolean"}}
		if h.literal {
			return refuse(s)
		}
		return g.without(s)
	case reflect.Bool:
		return g.orExpression("boolean", h)
	case reflect.Int, reflect.Int64:
		return g.orExpression("integer", h)
	}
	g.fail("%s is of type %s, which no schema is known for", path, t)
	return new(schema)
}

// named returns a reference to the schema of a struct, which several fields may
// have. A scalar may stand for its field that is short.
func (g *generator) named(t reflect.Type, path string) *schema {
	name := strings.ToLower(t.Name())
	ref := &schema{Ref: "#/$defs/" + name}
	if g.defs[name] != nil {
		return ref
	}
	g.defs[name] = new(schema) // a type may hold itself
	s := g.structure(t, path)
	for _, f := range fieldsOf(t) {
		if f.short {
			short := g.value(f.Type, f.hint, join(path, f.key))
			short.Description = "Short for " + f.key + "."
			s = &schema{AnyOf: []*schema{short, s}}
			break
		}
	}
	g.defs[name] = s
	return ref
}

// promised returns the schema of a [pipeline.Value].
func (g *generator) promised(h hint) *schema {
	switch {
	case h.cond:
		return refuse(&schema{Type: []string{"string", "boolean"}})
	case h.image, h.pushed:
		return g.without(&schema{Type: []string{"string"}})
	case h.any: // numbers with a fraction would not stay as they are written
		return g.without(&schema{Type: []string{"string", "integer", "boolean", "null"}})
	}
	return g.without(&schema{Type: []string{"string", "number", "boolean", "null"}})
}

// orExpression is a value of a type, or one expression that gives it.
func (g *generator) orExpression(typ string, h hint) *schema {
	if h.literal || g.plain {
		return &schema{Type: []string{typ}}
	}
	return &schema{AnyOf: []*schema{{Type: []string{typ}}, {Type: []string{"string"}, Pattern: oneExpression}}}
}

// without takes expressions from s where none may stand.
func (g *generator) without(s *schema) *schema {
	if g.plain {
		return refuse(s)
	}
	return s
}

func refuse(s *schema) *schema {
	s.Not = &schema{Type: []string{"string"}, Pattern: anyExpression}
	return s
}

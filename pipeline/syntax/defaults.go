package syntax

import (
	"reflect"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// keyStage is the entry of defaults that is for the keys beside the kind.
const keyStage = "stage"

// stageDefaults are the keys beside the kind that can have defaults.
type stageDefaults struct {
	Timeout time.Duration `yaml:"timeout" doc:"Default of timeout."`
	Retries int           `yaml:"retries,literal" doc:"Default of retries."`
}

// defaults notes what stages have without saying so. An entry is checked on its
// own, as far as that can be done before it is filled into stages.
func (r *reader) defaults(n *yaml.Node) {
	r.preset = map[string]*yaml.Node{}
	if n == nil || n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "wrong-type", "defaults is %s (want a mapping by kind)", what(n))
		return
	}
	known := append(r.kindNames(), keyStage)
	r.mend(n, " in defaults", known, func(string) bool { return true })
	r.pairs(n, func(key, val *yaml.Node) {
		val = resolve(val)
		i := slices.Index(known, key.Value)
		if i < 0 {
			return
		}
		if val.Kind != yaml.MappingNode {
			r.fail(val, "wrong-type", "%s in defaults is %s (want a mapping)", key.Value, what(val))
			return
		}
		var into any = new(stageDefaults)
		if key.Value != keyStage {
			into = r.Kinds[i].New()
		}
		d := &decoder{tree: r.tree, compiler: unchecked{}, partial: true, fields: map[string]pipeline.Pos{}}
		d.decode(val, reflect.ValueOf(into).Elem(), "", hint{key: key.Value})
		r.errs = append(r.errs, d.errs...)
		if r.preset[key.Value] = val; key.Value == keyStage {
			r.preset[keyStage] = only(val, reflect.TypeFor[stageDefaults]())
		}
	})
}

// only returns the mapping n without other keys than those of t.
func only(n *yaml.Node, t reflect.Type) *yaml.Node {
	out := *n // it is only looked into
	out.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if slices.Contains(keysOf(t), n.Content[i].Value) {
			out.Content = append(out.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &out
}

// filled returns the stage n, and the body of its kind, with what they have by
// default.
func (r *reader) filled(n *yaml.Node) (stage, body *yaml.Node, kind pipeline.Kind) {
	if def := r.preset[keyStage]; def != nil && n.Kind == yaml.MappingNode {
		n = r.merged(def, n, reflect.TypeFor[common]())
	}
	kind, body = r.kind(n)
	if body == nil {
		return n, nil, kind
	}
	body = resolve(body)
	if def := r.preset[kind.Name]; def != nil {
		if body.Tag == "!!null" {
			made := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			r.like(body, made)
			body = made
		}
		body = r.merged(def, body, reflect.TypeOf(kind.New()).Elem())
	}
	return n, body, kind
}

// merged returns own with what def has beside it, for a value of type t. Of two
// mappings, each key is merged, and null takes one away; anything else wins over
// its default. Every node keeps its place.
func (r *reader) merged(def, own *yaml.Node, t reflect.Type) *yaml.Node {
	def, own = resolve(def), resolve(own)
	if key := shortKey(t); key != "" && own.Kind == yaml.ScalarNode && own.Tag != "!!null" && def.Kind == yaml.MappingNode {
		name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
		whole := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{name, own}}
		r.like(own, name, whole)
		own = whole
	}
	if def.Kind != yaml.MappingNode || own.Kind != yaml.MappingNode {
		return own
	}
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: own.Tag, Style: own.Style}
	r.like(own, out)
	there := map[string]bool{}
	for i := 0; i+1 < len(own.Content); i += 2 {
		key, val := own.Content[i], own.Content[i+1]
		name := key.Value
		if known := keysUnder(t); len(known) > 0 && !slices.Contains(known, name) {
			name = meant(own, name, known) // so that only the misspelling is reported
		}
		there[name] = true
		if d := child(def, name); d != nil {
			if resolve(val).Tag == "!!null" {
				continue
			}
			val = r.merged(d, val, under(t, name))
		}
		out.Content = append(out.Content, key, val)
	}
	for i := 0; i+1 < len(def.Content); i += 2 {
		if key := def.Content[i]; !there[key.Value] {
			out.Content = append(out.Content, key, def.Content[i+1])
		}
	}
	return out
}

// keysUnder returns the keys that a mapping of type t can have, or none if it can
// have any.
func keysUnder(t reflect.Type) []string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || t == valueType {
		return nil
	}
	return keysOf(t)
}

// shortKey returns the key that a scalar in place of a mapping means, or "".
func shortKey(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || t == valueType {
		return ""
	}
	for _, f := range fieldsOf(t) {
		if f.short {
			return f.key
		}
	}
	return ""
}

// under returns the type of what stands under key in a value of type t, or nil.
func under(t reflect.Type, key string) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil || t == valueType:
	case t.Kind() == reflect.Map:
		return t.Elem()
	case t.Kind() == reflect.Struct:
		for _, f := range fieldsOf(t) {
			if f.key == key {
				return f.Type
			}
		}
	}
	return nil
}

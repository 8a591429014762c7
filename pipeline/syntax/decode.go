package syntax

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// A decoder fills Go values from YAML nodes. Without a scope it checks:
// expressions are compiled and stay as they are written. With a scope, those in
// fields that must be known while planning are evaluated.
//
// Struct fields are described by tags: `yaml:"key"`, followed by ",required"
// (it must be there), ",short" (a scalar in place of the mapping means this
// field), ",secret" (a secret may flow here), ",image" (the Value is an image),
// ",pushed" (an image that is in a repository), ",any" (the Value keeps the type
// that YAML gives it; others are text), ",if" (the Value is a bare condition; an
// entry of a list is left out while it is false) or ",literal" (no expression may
// stand here).
type decoder struct {
	*tree
	compiler pipeline.Compiler
	names    pipeline.Names
	scope    *pipeline.Scope
	at       string // where in the file is what it decodes, such as stages.api.build
	partial  bool   // what is required may stand elsewhere

	errs   pipeline.ErrorList
	refs   []reference
	fields map[string]pipeline.Pos // where the fields of a body stand, by path; nil: nobody will ask
}

// A reference is a mention of an output, and where it stands.
type reference struct {
	pipeline.Ref
	pos pipeline.Pos
}

func (d *decoder) fail(n *yaml.Node, code, format string, args ...any) {
	d.errs.Add(d.pos(n), "", code, fmt.Errorf(format, args...))
}

// note remembers where a field stands.
func (d *decoder) note(path string, n *yaml.Node) {
	if d.fields != nil {
		d.fields[path] = d.pos(n)
	}
}

var (
	valueType    = reflect.TypeFor[pipeline.Value]()
	durationType = reflect.TypeFor[time.Duration]()
	posType      = reflect.TypeFor[pipeline.Pos]()
	nodeType     = reflect.TypeFor[*yaml.Node]()
)

// decode fills v from n. Path is where v stands in the body.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string, h hint) {
	n = resolve(n)
	d.note(path, n)
	if n.Kind == yaml.ScalarNode && !h.cond && strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		d.fail(n, "yaml-tag", "YAML reads %s as a tag and drops it (quote the text: %q)", n.Tag, n.Tag+n.Value)
		return
	}
	switch {
	case v.Type() == valueType:
		d.value(n, v, path, h)
	case v.Type() == durationType:
		d.duration(n, v)
	case v.Kind() == reflect.Interface: // a tree of any shape
		d.anything(n, v, path, h)
	case v.Type() == nodeType: // the one who asks decodes it
		v.Set(reflect.ValueOf(n))
	default:
		d.plain(n, v, path, h)
	}
}

func (d *decoder) plain(n *yaml.Node, v reflect.Value, path string, h hint) {
	switch v.Kind() {
	case reflect.Pointer:
		if n.Tag == "!!null" {
			d.fail(n, "wrong-type", "%s is nothing (give it a value, or leave the key out)", h.key)
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path, h)
	case reflect.Struct:
		d.structure(n, v, path, h)
	case reflect.Slice:
		d.slice(n, v, path, h)
	case reflect.Map:
		d.mapping(n, v, path, h)
	default:
		d.scalar(n, v, path, h)
	}
}

// structure decodes a mapping with fixed keys.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string, h hint) {
	if pos := v.FieldByName("Pos"); pos.IsValid() && pos.Type() == posType { // a struct that knows where it is written
		pos.Set(reflect.ValueOf(d.pos(n)))
	}
	fields := fieldsOf(v.Type())
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		for _, f := range fields {
			if f.short {
				d.decode(n, v.FieldByIndex(f.Index), join(path, f.key), f.hint)
				return
			}
		}
	}
	if n.Kind != yaml.MappingNode && n.Tag != "!!null" {
		d.fail(n, "wrong-type", "%s is %s (want a mapping)", h.key, what(n))
		return
	}
	there := make([]bool, len(fields))
	d.pairs(n, func(key, val *yaml.Node) {
		called := func(name string) int {
			return slices.IndexFunc(fields, func(f field) bool { return f.key == name })
		}
		i := called(key.Value)
		if i < 0 {
			known := keysOf(v.Type())
			d.fail(key, "unknown-key", "unknown key %q in %s%s", key.Value, h.key, wanted(key.Value, known))
			if i = called(meant(n, key.Value, known)); i < 0 {
				return
			}
		}
		there[i] = true
		d.decode(val, v.FieldByIndex(fields[i].Index), join(path, fields[i].key), fields[i].hint)
	})
	for i, f := range fields {
		if f.required && !there[i] && !d.partial {
			d.fail(n, "missing-key", "%s needs %s:", h.key, f.key)
		}
	}
}

// meant returns which key of the mapping n is written as word, so that nothing
// is said of what only follows from the misspelling; "" if none is like it, or the
// one that is stands there, too.
func meant(n *yaml.Node, word string, known []string) string {
	if best := pipeline.Closest(word, known); best != "" && child(n, best) == nil {
		return best
	}
	return ""
}

// mend reports the unknown keys of the mapping n, and gives those that are
// misspelt their right names.
func (d *decoder) mend(n *yaml.Node, where string, known []string, may func(name string) bool) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || slices.Contains(known, key.Value) {
			continue
		}
		d.fail(key, "unknown-key", "unknown key %q%s%s", key.Value, where, wanted(key.Value, slices.Clone(known)))
		if name := meant(n, key.Value, known); name != "" && may(name) {
			key.Value = name
		}
	}
}

// pairs visits the entries of a mapping and reports duplicate keys.
func (d *decoder) pairs(n *yaml.Node, visit func(key, val *yaml.Node)) {
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.fail(key, "wrong-type", "key is %s (want text)", what(key))
			continue
		}
		if prev := first[key.Value]; prev != nil {
			first := fmt.Sprintf("on line %d", prev.Line)
			if was := d.pos(prev); was.File != d.pos(key).File {
				first = "at " + was.String()
			}
			d.fail(key, "duplicate-key", "key %q is here twice (first %s)", key.Value, first)
			continue
		}
		first[key.Value] = key
		visit(key, val)
	}
}

func (d *decoder) slice(n *yaml.Node, v reflect.Value, path string, h hint) {
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "wrong-type", "%s is %s (want a list)", h.key, what(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	kept := 0
	for _, c := range n.Content {
		if at := fmt.Sprintf("%s[%d]", path, kept); d.wants(c, v.Type().Elem(), at) {
			d.decode(c, out.Index(kept), at, h)
			kept++
		}
	}
	v.Set(out.Slice(0, kept))
}

// wants reports whether the entry n of a list is part of it: it is not if it has
// a condition that is false. What else stands in it is not evaluated then, for it
// may make sense only under that condition. Without a scope every entry is.
func (d *decoder) wants(n *yaml.Node, entry reflect.Type, path string) bool {
	if n = resolve(n); d.scope == nil || entry.Kind() != reflect.Struct || n.Kind != yaml.MappingNode {
		return true
	}
	for _, f := range fieldsOf(entry) {
		c := child(n, f.key)
		if !f.cond || c == nil {
			continue
		}
		var cond pipeline.Value
		d.decode(c, reflect.ValueOf(&cond).Elem(), join(path, f.key), f.hint)
		if cond.IsZero() {
			return false // a mistake, which has been reported
		}
		got, err := cond.Eval(*d.scope)
		yes, is := got.(bool)
		switch {
		case err != nil:
			d.unkept(resolve(c), f.hint, err)
		case !is:
			d.fail(resolve(c), "wrong-type", "if is %v (want true or false)", got)
		}
		return yes
	}
	return true
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, h hint) {
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "wrong-type", "%s is %s (want a mapping)", h.key, what(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, func(key, val *yaml.Node) {
		el := reflect.New(v.Type().Elem()).Elem()
		d.decode(val, el, join(path, key.Value), h)
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), el)
	})
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// wanted returns the suggestion and the list of what may be written.
func wanted(got string, known []string) string {
	slices.Sort(known)
	return pipeline.Nearest(got, known) + " (want one of " + strings.Join(known, ", ") + ")"
}

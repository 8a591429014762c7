package syntax

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// variable is an entry of vars:.
type variable struct {
	Type        string     `yaml:"type" doc:"What kind of value it is. Default: that of default, or string."`
	Default     *yaml.Node `yaml:"default" doc:"The value when nothing else sets one. Without it, the var must be set."`
	Required    *bool      `yaml:"required" doc:"false: it need not be set, and is empty then. Default: true without a default."`
	Env         string     `yaml:"env" doc:"Environment variable that sets it."`
	Pattern     string     `yaml:"pattern" doc:"Regular expression (RE2) that all of the text has to match."`
	OneOf       *yaml.Node `yaml:"oneOf" doc:"What the value can be."`
	Min         *int       `yaml:"min" doc:"The least that a whole number can be."`
	Max         *int       `yaml:"max" doc:"The most that a whole number can be."`
	Description string     `yaml:"description" doc:"What it is for, for people."`
}

var varTypes = []string{"string", "int", "bool", "list", "map", "secret"}

// vars decodes what the user may set from outside.
func (r *reader) vars(n *yaml.Node) {
	r.entries(n, "vars", func(key, val *yaml.Node) {
		d := &decoder{tree: r.tree, compiler: plain{}, fields: map[string]pipeline.Pos{}}
		r.out.Vars = append(r.out.Vars, d.variable(key, val))
		r.errs = append(r.errs, d.errs...)
	})
}

// variable decodes one var. What it says is checked only if all of it can be read.
func (d *decoder) variable(key, val *yaml.Node) pipeline.Var {
	v := pipeline.Var{Name: key.Value, Pos: d.pos(key), Type: pipeline.String}
	if val.Kind == yaml.ScalarNode { // replicas: 2 is short for {default: 2}
		name := &yaml.Node{Kind: yaml.ScalarNode, Value: "default", Tag: "!!str"}
		whole := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{name, val}}
		d.like(val, name, whole)
		val = whole
	}
	var spec variable
	d.decode(val, reflect.ValueOf(&spec).Elem(), "", hint{key: "vars"})
	v.Default = d.fixed(spec.Default)
	v.Env, v.Description, v.Pattern, v.Min, v.Max = spec.Env, spec.Description, spec.Pattern, spec.Min, spec.Max
	switch {
	case spec.Type != "" && !slices.Contains(varTypes, spec.Type):
		d.errs.Add(d.fields["type"], "", "wrong-type", fmt.Errorf("var %s has type %q%s", v.Name, spec.Type, wanted(spec.Type, slices.Clone(varTypes))))
	case spec.Type != "":
		v.Type = pipeline.Type(spec.Type)
	case v.Default != nil:
		v.Type = pipeline.TypeOf(v.Default)
	}
	if right := spec.Type == "" || slices.Contains(varTypes, spec.Type); right && looksSecret(v.Env) && v.Type != pipeline.Secret {
		d.errs.Add(d.fields["env"], "", "secret-flow", fmt.Errorf("%s names a secret, but var %s is not one (set type: secret)", v.Env, v.Name))
	}
	if spec.Required != nil {
		v.Optional = !*spec.Required
		if spec.Default != nil {
			d.errs.Add(d.fields["required"], "", "bad-value", fmt.Errorf("var %s has a default, so it always has a value (leave out one of required and default)", v.Name))
		}
	}
	if len(d.errs) == 0 {
		d.rules(&v, &spec)
	}
	return v
}

// rules checks the rules for the value of v, and its default against them.
func (d *decoder) rules(v *pipeline.Var, spec *variable) {
	fail := func(field, format string, args ...any) {
		d.errs.Add(d.fields[field], "", "bad-value", fmt.Errorf(format, args...))
	}
	if v.Pattern != "" && v.Type != pipeline.String && v.Type != pipeline.Secret {
		fail("pattern", "pattern is for text, but var %s is of type %s", v.Name, v.Type)
	} else if _, err := regexp.Compile(v.Pattern); err != nil {
		fail("pattern", "pattern is no regular expression: %w (see https://github.com/google/re2/wiki/Syntax)", err)
	}
	for field, bound := range map[string]*int{"min": v.Min, "max": v.Max} {
		if bound != nil && v.Type != pipeline.Int {
			fail(field, "%s is for whole numbers, but var %s is of type %s (use pattern: for text)", field, v.Name, v.Type)
		}
	}
	if v.Min != nil && v.Max != nil && *v.Min > *v.Max {
		fail("max", "max is %d, which is less than min: %d", *v.Max, *v.Min)
	}
	oneOf := spec.OneOf
	switch {
	case oneOf == nil:
		oneOf = new(yaml.Node)
	case oneOf.Kind != yaml.SequenceNode:
		fail("oneOf", "oneOf is %s (want a list of values)", what(oneOf))
	}
	for i, c := range oneOf.Content {
		got := d.fixed(resolve(c))
		if one := (pipeline.Var{Type: v.Type, Pattern: v.Pattern, Min: v.Min, Max: v.Max}); len(d.errs) == 0 {
			if err := one.Check(got); err != nil {
				d.fail(c, "bad-value", "oneOf of var %s: %w", v.Name, err)
			}
		}
		if i == 0 && v.Type != pipeline.String && v.Type != pipeline.Int {
			d.fail(c, "bad-value", "oneOf is for text and whole numbers, but var %s is of type %s", v.Name, v.Type)
		}
		v.OneOf = append(v.OneOf, got)
	}
	if v.Default == nil || len(d.errs) > 0 {
		return
	}
	if !v.Type.Holds(v.Default) {
		d.fail(spec.Default, "wrong-type", "default of var %s is %s (want a value of type %s)", v.Name, what(spec.Default), v.Type)
	} else if err := v.Check(v.Default); err != nil {
		d.fail(spec.Default, "bad-value", "default of var %s: %w", v.Name, err)
	}
}

// fixed returns the Go value of n, in which no expression may stand. It is nil
// for what is not there.
func (d *decoder) fixed(n *yaml.Node) any {
	if n == nil {
		return nil
	}
	if err := d.constant(n); err != nil {
		d.errs.Add(d.pos(n), "", "ambiguous", err)
		return nil
	}
	var got any
	if err := n.Decode(&got); err != nil {
		d.fail(n, "bad-yaml", "%v", err)
	}
	return got
}

// constant reports an error if the value of n is an expression, or would not
// stay as it is written.
func (d *decoder) constant(n *yaml.Node) error {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode {
		if _, err := d.compiler.Template(n.Value, d.place(n), d.names); err != nil {
			return err
		}
		return exact(n)
	}
	for _, c := range n.Content {
		if err := d.constant(c); err != nil {
			return err
		}
	}
	return nil
}

// ReadVars reads a file of values for vars: a mapping of names to values. Its
// error is a [pipeline.ErrorList].
func ReadVars(name string, text []byte) (map[string]pipeline.Given, error) {
	tree, failed := grow(name, text)
	if failed != nil {
		if failed.Code == "empty" {
			return nil, nil
		}
		return nil, pipeline.ErrorList{failed}
	}
	d := &decoder{tree: tree, compiler: plain{}, fields: map[string]pipeline.Pos{}}
	given := map[string]pipeline.Given{}
	if tree.main.root.Kind != yaml.MappingNode {
		d.fail(tree.main.root, "wrong-type", "file is %s (want a mapping of vars to values)", what(tree.main.root))
		return nil, d.errs.Err()
	}
	d.pairs(tree.main.root, func(key, val *yaml.Node) {
		val = resolve(val)
		g := pipeline.Given{Pos: d.pos(val), Text: val.Value}
		switch {
		case val.Tag == "!!null":
			d.fail(val, "wrong-type", "%s is nothing (give it a value, or leave it out)", key.Value)
		case val.Kind != yaml.ScalarNode:
			g.Value = d.fixed(val)
		default:
			d.fixed(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: val.Value, Line: val.Line, Column: val.Column, Style: val.Style})
		}
		given[key.Value] = g
	})
	return given, d.errs.Err()
}

package syntax

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// variable is an entry of vars:.
type variable struct {
	Type        string    `yaml:"type" doc:"What kind of value it is. Default: that of default, or string."`
	Default     yaml.Node `yaml:"default" doc:"The value when nothing else sets one. Without it, the var must be set."`
	Env         string    `yaml:"env" doc:"Environment variable that sets it."`
	Description string    `yaml:"description" doc:"What it is for, for people."`
}

var varTypes = []string{"string", "int", "bool", "list", "map", "secret"}

// secretNames are the parts of a name by which people recognise a secret.
var secretNames = []string{"TOKEN", "SECRET", "PASSWORD", "KEY"}

// vars decodes what the user may set from outside.
func (r *reader) vars(n *yaml.Node) {
	r.entries(n, "vars", func(key, val *yaml.Node) {
		v := pipeline.Var{Name: key.Value, Pos: r.pos(key), Type: pipeline.String}
		if val.Kind == yaml.ScalarNode { // replicas: 2 is short for {default: 2}
			val = &yaml.Node{
				Kind: yaml.MappingNode, Line: val.Line, Column: val.Column,
				Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "default", Tag: "!!str"}, val},
			}
		}
		d := &decoder{source: r.source, compiler: plain{}, fields: map[string]pipeline.Pos{}}
		var spec variable
		for i := 0; i+1 < len(val.Content); i += 2 {
			if val.Content[i].Value == "default" {
				spec.Default = *resolve(val.Content[i+1])
				val = &yaml.Node{Kind: val.Kind, Line: val.Line, Column: val.Column, Content: slices.Delete(slices.Clone(val.Content), i, i+2)}
				break
			}
		}
		d.decode(val, reflect.ValueOf(&spec).Elem(), "vars."+key.Value, hint{key: "vars"})
		r.errs = append(r.errs, d.errs...)
		v.Env, v.Description = spec.Env, spec.Description
		if spec.Default.Kind != 0 {
			if err := d.constant(&spec.Default); err != nil {
				r.errs.Add(r.pos(&spec.Default), "", "ambiguous", err)
			} else if err := spec.Default.Decode(&v.Default); err != nil {
				r.fail(&spec.Default, "bad-yaml", "%v", err)
			}
		}
		switch {
		case spec.Type != "" && !slices.Contains(varTypes, spec.Type):
			r.fail(val, "wrong-type", "var %s has type %q%s", v.Name, spec.Type, wanted(spec.Type, slices.Clone(varTypes)))
		case spec.Type != "":
			v.Type = pipeline.Type(spec.Type)
		case v.Default != nil:
			v.Type = pipeline.TypeOf(v.Default)
		}
		if v.Default != nil && !v.Type.Holds(v.Default) {
			r.fail(&spec.Default, "wrong-type", "default of var %s is %s (want a value of type %s)", v.Name, what(&spec.Default), v.Type)
		}
		if looksSecret(v.Env) && v.Type != pipeline.Secret {
			r.fail(val, "secret-flow", "%s names a secret, but var %s is not one (set type: secret)", v.Env, v.Name)
		}
		r.out.Vars = append(r.out.Vars, v)
	})
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

// looksSecret reports whether the name of an environment variable says that its
// value is a secret.
func looksSecret(name string) bool {
	up := strings.ToUpper(name)
	return strings.HasPrefix(up, "ACTIONS_") || slices.ContainsFunc(secretNames, func(s string) bool { return strings.Contains(up, s) })
}

// environment is an entry of environments:.
type environment struct {
	Namespace  string                    `yaml:"namespace" doc:"Namespace of objects that name none."`
	Context    string                    `yaml:"context" doc:"Context of the kubeconfig. Default: the current one, or --context."`
	ClusterUID string                    `yaml:"clusterUID" doc:"UID of the cluster's namespace kube-system: no other cluster is written to. slipway environments bind fills it in."`
	Protected  bool                      `yaml:"protected" doc:"Refuses --only, --skip and a tree with changes that no commit holds; wants clusterUID."`
	Vars       map[string]pipeline.Value `yaml:"vars,any" doc:"Values of vars for this environment."`
}

// environments decodes where runs may go. Their fields are what expressions
// read, so expressions have no place in them.
func (r *reader) environments(n *yaml.Node) {
	r.entries(n, "environments", func(key, val *yaml.Node) {
		d := &decoder{source: r.source, compiler: plain{}, fields: map[string]pipeline.Pos{}}
		var spec environment
		d.decode(val, reflect.ValueOf(&spec).Elem(), "environments."+key.Value, hint{key: "environments"})
		r.errs = append(r.errs, d.errs...)
		for _, name := range pipeline.Keys(spec.Vars) {
			if _, ok := r.names.Vars[name]; !ok {
				r.errs.Add(spec.Vars[name].Pos, "", "unknown-name", fmt.Errorf("environment %s sets var %q, which is not declared%s",
					key.Value, name, pipeline.Nearest(name, pipeline.Keys(r.names.Vars))))
			}
		}
		if spec.Protected && spec.ClusterUID == "" {
			r.fail(key, "unbound", "environment %s is protected, so it has to name its cluster (slipway environments bind %s writes its UID into the file)", key.Value, key.Value)
		}
		r.out.Environments = append(r.out.Environments, pipeline.Environment{
			Name: key.Value, Pos: r.pos(key), Namespace: spec.Namespace,
			Context: spec.Context, ClusterUID: spec.ClusterUID, Protected: spec.Protected, Vars: spec.Vars,
		})
	})
}

// entries visits the named entries of a section of the file.
func (r *reader) entries(n *yaml.Node, section string, visit func(key, val *yaml.Node)) {
	if n == nil || n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "wrong-type", "%s is %s (want a mapping by name)", section, what(n))
		return
	}
	r.pairs(n, func(key, val *yaml.Node) {
		if !idName.MatchString(key.Value) {
			r.fail(key, "bad-name", "%q cannot be a name in %s (want letters, digits, - and _, beginning with a letter)", key.Value, section)
			return
		}
		visit(key, resolve(val))
	})
}

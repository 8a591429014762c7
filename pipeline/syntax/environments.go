package syntax

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// environment is an entry of environments:. What is nil is taken from the one
// that it extends.
type environment struct {
	Extends    string                `yaml:"extends" doc:"Environment that this one is like, but for what is said here; vars are merged by name."`
	Namespace  *string               `yaml:"namespace" doc:"Namespace of objects that name none."`
	Context    *string               `yaml:"context" doc:"Context of the kubeconfig. Default: the current one, or --context."`
	ClusterUID *string               `yaml:"clusterUID" doc:"UID of the cluster's namespace kube-system: no other cluster is written to. slipway environments bind fills it in."`
	Protected  *bool                 `yaml:"protected" doc:"Refuses --only, --skip and a tree with changes that no commit holds; wants clusterUID."`
	Promotes   *string               `yaml:"promotes" doc:"Environment whose releases go here."`
	Vars       map[string]*yaml.Node `yaml:"vars" doc:"Values of vars for this environment."`

	name   string
	key    *yaml.Node
	fields map[string]pipeline.Pos
	values map[string]pipeline.Value // Vars, decoded
	heir   bool                      // Promotes is taken from another
	broken bool                      // something is wrong with it, and has been reported
}

// environments decodes where runs may go. Their fields are what expressions
// read, so expressions have no place in them.
func (r *reader) environments(n *yaml.Node) {
	var all []*environment
	r.entries(n, "environments", func(key, val *yaml.Node) {
		e := &environment{name: key.Value, key: key, fields: map[string]pipeline.Pos{}}
		d := &decoder{tree: r.tree, compiler: plain{}, fields: e.fields}
		d.decode(val, reflect.ValueOf(e).Elem(), "", hint{key: "environments"})
		e.broken = len(d.errs) > 0
		r.errs = append(r.errs, d.errs...)
		e.values = r.settings(e.name, e.Vars)
		all = append(all, e)
	})
	for _, e := range all {
		r.extended(e, all)
	}
	for _, e := range all {
		r.promoted(e, all)
		r.out.Environments = append(r.out.Environments, pipeline.Environment{
			Name: e.name, Pos: r.pos(e.key), Namespace: of(e.Namespace), Context: of(e.Context), ClusterUID: of(e.ClusterUID),
			Protected: of(e.Protected), Promotes: of(e.Promotes), Vars: e.values,
		})
		if of(e.Protected) && of(e.ClusterUID) == "" && !e.broken {
			r.fail(e.key, "unbound", "environment %s is protected, so it has to name its cluster (slipway environments bind %s writes its UID into the file)", e.name, e.name)
		}
	}
}

// of returns what p points to, or zero.
func of[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

// named finds an environment that another one names under key.
func (r *reader) named(e *environment, key, name string, all []*environment) *environment {
	i := slices.IndexFunc(all, func(o *environment) bool { return o.name == name })
	if i >= 0 {
		return all[i]
	}
	var names []string
	for _, o := range all {
		if o != e {
			names = append(names, o.name)
		}
	}
	r.errs.Add(e.fields[key], "", "unknown-environment", fmt.Errorf("environment %s %s %q, but none is called that%s", e.name, key, name, wanted(name, names)))
	return nil
}

// circle returns the path from e back to e, or nil if next does not lead there.
func circle(e *environment, next func(*environment) *environment) []string {
	path := []string{e.name}
	for at := next(e); at != nil && !slices.Contains(path[1:], at.name); at = next(at) {
		if path = append(path, at.name); at == e {
			return path
		}
	}
	return nil
}

// follow returns a function that leads from an environment to the one that it
// names, without a word about those that are not there.
func follow(all []*environment, name func(*environment) string) func(*environment) *environment {
	return func(e *environment) *environment {
		if i := slices.IndexFunc(all, func(o *environment) bool { return o.name == name(e) }); i >= 0 {
			return all[i]
		}
		return nil
	}
}

// extended fills in what e takes from the one that it extends, and that one from
// its own. A circle is reported once, and broken.
func (r *reader) extended(e *environment, all []*environment) {
	if e.Extends == "" {
		return
	}
	if path := circle(e, follow(all, func(e *environment) string { return e.Extends })); path != nil {
		r.errs.Add(e.fields["extends"], "", "cycle", fmt.Errorf("environments extend each other in a circle: %s (remove one extends)", strings.Join(path, " → ")))
		e.Extends, e.broken = "", true
		return
	}
	from := r.named(e, "extends", e.Extends, all)
	e.Extends = ""
	if from == nil {
		e.broken = true
		return
	}
	r.extended(from, all)
	e.broken = e.broken || from.broken
	e.Namespace, e.Context, e.ClusterUID = or(e.Namespace, from.Namespace), or(e.Context, from.Context), or(e.ClusterUID, from.ClusterUID)
	e.Protected, e.Promotes = or(e.Protected, from.Protected), or(e.Promotes, from.Promotes)
	if _, own := e.fields["promotes"]; !own && from.Promotes != nil {
		e.fields["promotes"], e.heir = from.fields["promotes"], true
	}
	for name, v := range from.values {
		if _, ok := e.values[name]; !ok {
			e.values[name] = v
		}
	}
}

func or[T any](own, from *T) *T {
	if own != nil {
		return own
	}
	return from
}

// promoted checks that what e promotes is there, and is not e in the end.
func (r *reader) promoted(e *environment, all []*environment) {
	if e.Promotes == nil || e.broken {
		return
	}
	path := circle(e, follow(all, func(e *environment) string { return of(e.Promotes) }))
	switch {
	case path != nil && path[0] == slices.Min(path): // of a circle, one is enough
		r.errs.Add(e.fields["promotes"], "", "cycle", fmt.Errorf("environments promote each other in a circle: %s (remove one promotes)", strings.Join(path, " → ")))
	case path == nil && !e.heir:
		r.named(e, "promotes", *e.Promotes, all)
	}
}

// settings decodes and checks what an environment says of vars.
func (r *reader) settings(env string, nodes map[string]*yaml.Node) map[string]pipeline.Value {
	vars := map[string]pipeline.Value{}
	for _, name := range pipeline.Keys(nodes) {
		node := nodes[name]
		at := r.pos(node)
		d := &decoder{tree: r.tree, compiler: plain{}}
		vars[name] = literal(at, d.fixed(node))
		r.errs = append(r.errs, d.errs...)
		if len(d.errs) > 0 {
			continue
		}
		i := slices.IndexFunc(r.out.Vars, func(v pipeline.Var) bool { return v.Name == name })
		if i < 0 {
			r.errs.Add(at, "", "unknown-name", fmt.Errorf("environment %s sets var %q, which is not declared%s",
				env, name, pipeline.Nearest(name, pipeline.Keys(r.names.Vars))))
			continue
		}
		got, _ := vars[name].Eval(pipeline.Scope{}) // a literal
		if err := r.out.Vars[i].Check(got); err != nil {
			r.errs.Add(at, "", "bad-value", fmt.Errorf("environment %s, var %s: %w", env, name, err))
		}
	}
	return vars
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
		if !idName().MatchString(key.Value) {
			r.fail(key, "bad-name", "%q cannot be a name in %s (want letters, digits, - and _, beginning with a letter)", key.Value, section)
			return
		}
		visit(key, resolve(val))
	})
}

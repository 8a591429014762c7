package syntax

import (
	"fmt"
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// environment is an entry of environments:.
type environment struct {
	Namespace  string               `yaml:"namespace"`
	Context    string               `yaml:"context"`
	ClusterUID string               `yaml:"clusterUID"`
	Protected  bool                 `yaml:"protected"`
	Vars       map[string]yaml.Node `yaml:"vars"`
}

// environments decodes where runs may go. Their fields are what expressions
// read, so expressions have no place in them.
func (r *reader) environments(n *yaml.Node) {
	r.entries(n, "environments", func(key, val *yaml.Node) {
		d := &decoder{source: r.source, compiler: plain{}, fields: map[string]pipeline.Pos{}}
		var spec environment
		d.decode(val, reflect.ValueOf(&spec).Elem(), "environments."+key.Value, hint{key: "environments"})
		r.errs = append(r.errs, d.errs...)
		vars := r.settings(key.Value, spec.Vars)
		if spec.Protected && spec.ClusterUID == "" {
			r.fail(key, "unbound", "environment %s is protected, so it has to name its cluster (set clusterUID: to what kubectl get namespace kube-system -o jsonpath={.metadata.uid} prints)", key.Value)
		}
		r.out.Environments = append(r.out.Environments, pipeline.Environment{
			Name: key.Value, Pos: r.pos(key), Namespace: spec.Namespace,
			Context: spec.Context, ClusterUID: spec.ClusterUID, Protected: spec.Protected, Vars: vars,
		})
	})
}

// settings decodes and checks what an environment says of vars.
func (r *reader) settings(env string, nodes map[string]yaml.Node) map[string]pipeline.Value {
	vars := map[string]pipeline.Value{}
	for _, name := range pipeline.Keys(nodes) {
		node := nodes[name]
		at := r.pos(&node)
		d := &decoder{source: r.source, compiler: plain{}}
		vars[name] = literal(at, d.fixed(&node))
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
		if !idName.MatchString(key.Value) {
			r.fail(key, "bad-name", "%q cannot be a name in %s (want letters, digits, - and _, beginning with a letter)", key.Value, section)
			return
		}
		visit(key, resolve(val))
	})
}

package stages

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// A Patch changes rendered objects.
type Patch struct {
	Pos    pipeline.Pos
	Target Selector `yaml:"target,required" doc:"Which objects: all that fit everything that is named here. One at least has to."`
	Patch  any      `yaml:"patch,required" doc:"A list of JSON 6902 operations, or a mapping that is merged strategically. Values may be expressions."`
}

// A Selector says which objects a patch changes.
type Selector struct {
	Kind          string `yaml:"kind" doc:"Such as Deployment."`
	Name          string `yaml:"name" doc:"Name of the object; a regular expression that fits it as a whole."`
	Group         string `yaml:"group" doc:"API group, such as apps."`
	Version       string `yaml:"version" doc:"Version of the group, such as v1."`
	Namespace     string `yaml:"namespace" doc:"Namespace that the object names."`
	LabelSelector string `yaml:"labelSelector" doc:"Labels that the object has, such as app=web."`
}

// A Secret becomes a Secret whose name ends in a hash of its content.
type Secret struct {
	Pos  pipeline.Pos
	Type string                    `yaml:"type" doc:"Type of the Secret, such as kubernetes.io/tls. Default: Opaque."`
	Data map[string]pipeline.Value `yaml:"data,required,secret" doc:"What it holds, by key. Values may be secrets."`
}

// Check finds what is wrong with m as it is written.
func (m Manifests) Check() []error {
	var errs []error
	bad := func(field string, format string, args ...any) {
		errs = append(errs, &pipeline.FieldError{Field: field, Code: "bad-value", Err: fmt.Errorf(format, args...)})
	}
	for i, p := range m.Patches {
		field := fmt.Sprintf("patches[%d]", i)
		if p.Target == (Selector{}) {
			bad(field+".target", "target names nothing (want a kind, a name, or labels)")
		}
		switch patch := p.Patch.(type) {
		case map[string]any:
		case []any:
			for n, op := range patch {
				checkOperation(op, fmt.Sprintf("%s.patch[%d]", field, n), bad)
			}
		default:
			bad(field+".patch", "patch is neither a list of operations nor a mapping to merge")
		}
	}
	for name, s := range m.Secrets {
		if len(s.Data) == 0 {
			bad("secrets."+name+".data", "secret %s holds nothing", name)
		}
	}
	return errs
}

// checkOperation checks one operation of JSON 6902.
func checkOperation(op any, field string, bad func(field, format string, args ...any)) {
	body, _ := op.(map[string]any)
	verb, _ := body["op"].(string)
	path, _ := body["path"].(string)
	unknown := false
	for key := range body {
		switch key {
		case "op", "path", "value", "from":
		default:
			unknown = true
			bad(field+"."+key, "an operation has no %s%s (want op, path, value or from)", key, pipeline.Nearest(key, []string{"op", "path", "value", "from"}))
		}
	}
	if unknown {
		return // what is missing may only be misspelt
	}
	switch verb {
	case "add", "replace", "test":
		if _, ok := body["value"]; !ok {
			bad(field, "op: %s needs value:", verb)
		}
	case "remove":
	case "move", "copy":
		if _, ok := body["from"].(string); !ok {
			bad(field, "op: %s needs from:", verb)
		}
	default:
		bad(field+".op", "%q is no operation%s (want add, remove, replace, move, copy or test)", verb, pipeline.Nearest(verb, []string{"add", "remove", "replace", "move", "copy", "test"}))
	}
	if !written(path) && (path == "" || path[0] != '/') {
		bad(field+".path", "%q is no JSON pointer (want one such as /spec/replicas; / in a name is written ~1)", path)
	}
}

// patch applies the patches to objs.
func (m Manifests) patch(r Renderer, objs []deploy.Object) ([]deploy.Object, error) {
	if len(m.Patches) == 0 {
		return objs, nil
	}
	patches := make([]deploy.Patch, len(m.Patches))
	for i, p := range m.Patches {
		patches[i].Target = deploy.Target(p.Target)
		switch patch := p.Patch.(type) {
		case map[string]any:
			patches[i].Merge = patch
		case []any:
			patches[i].Ops = patch
		}
	}
	patched, err := r.Patch(objs, patches)
	var bad *deploy.PatchError
	if errors.As(err, &bad) {
		return nil, &pipeline.FieldError{Field: fmt.Sprintf("patches[%d]", bad.Patch), Code: "bad-patch", Err: bad.Err}
	}
	for i := range patched {
		if reflect.DeepEqual(patched[i].Body, objs[i].Body) {
			continue
		}
		for n, p := range patches {
			patched[i].Source = overlay{patched[i].Source, p, m.Patches[n].Pos}
		}
	}
	return patched, err
}

// An overlay is a Source in which a patch of the pipeline file has written over
// what was there.
type overlay struct {
	below deploy.Source
	patch deploy.Patch
	pos   pipeline.Pos
}

// Locate implements [deploy.Source].
func (v overlay) Locate(o deploy.Object, path deploy.Path) (file string, line int) {
	if v.patch.Writes(o, path) {
		return v.pos.File, v.pos.Line
	}
	if v.below == nil {
		return o.File, o.Line
	}
	return v.below.Locate(o, path)
}

// secretsOf returns objs and the Secrets that m makes, and what refers to these
// by the new names.
func (m Manifests) secretsOf(sc pipeline.Scope, objs []deploy.Object) ([]deploy.Object, error) {
	objs = slices.Clone(objs)
	for _, name := range pipeline.Keys(m.Secrets) {
		field := "secrets." + name
		if slices.ContainsFunc(objs, func(o deploy.Object) bool { return o.Kind() == "Secret" && o.Name() == name }) {
			return nil, &pipeline.FieldError{Field: field, Code: "bad-value", Err: fmt.Errorf("the manifests have a Secret %s already (give this one another name, or take that one away)", name)}
		}
		data := map[string]string{}
		for key, v := range m.Secrets[name].Data {
			text, err := v.Text(sc)
			switch {
			case errors.Is(err, pipeline.ErrUnkept):
				return nil, &pipeline.FieldError{Field: field + ".data." + key, Code: "not-known-yet", Err: fmt.Errorf("%s must be known while planning: %w", key, err)}
			case err != nil:
				return nil, &pipeline.FieldError{Field: field + ".data." + key, Code: "bad-value", Err: err}
			}
			data[key] = text
		}
		made := deploy.NewSecret(name, m.Secrets[name].Type, data)
		made.File, made.Line = m.Secrets[name].Pos.File, m.Secrets[name].Pos.Line
		if deploy.RenameSecret(objs, name, made.Name()) == 0 {
			return nil, &pipeline.FieldError{Field: field, Code: "unused-secret", Err: &deploy.UnusedSecretError{Name: name}}
		}
		objs = append(objs, made)
	}
	return objs, nil
}

// shown returns objs as they may be printed: without the values of the Secrets that m makes.
func (m Manifests) shown(objs []deploy.Object) []deploy.Object {
	if len(m.Secrets) == 0 {
		return objs
	}
	return deploy.Mask(objs)
}

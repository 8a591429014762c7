package expr

import (
	"maps"
	"reflect"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"github.com/slipway-ci/slipway/pipeline"
)

// A language is CEL with the names of one file.
type language struct {
	env     *cel.Env
	factory celast.ExprFactory
	fields  map[string]map[string]*types.Type // fields by type name
}

// language returns the language for names. Making one costs a millisecond, so
// the last one is kept: a file has one set of names.
func (c *Compiler) language(names pipeline.Names) (*language, error) {
	if c.lang != nil && same(c.names, names) {
		return c.lang, nil
	}
	l := &language{factory: celast.NewExprFactory(), fields: map[string]map[string]*types.Type{}}
	var opts []cel.EnvOption
	object := func(name string, fields map[string]pipeline.Type) *types.Type {
		l.fields[name] = map[string]*types.Type{}
		for f, t := range fields {
			l.fields[name][f] = celType(t)
		}
		return types.NewObjectType(name)
	}
	object("slipway.Image", pipeline.ImageFields())
	facts := maps.Clone(pipeline.Facts())
	facts["vars"] = names.Vars
	for name, fields := range facts {
		opts = append(opts, cel.Variable(name, object("slipway."+name, fields)))
	}
	stages := map[string]*types.Type{}
	for id, outputs := range names.Stages {
		stages[string(id)] = object("slipway.stages."+string(id), outputs)
	}
	l.fields["slipway.stages"] = stages
	opts = append(opts, cel.Variable("stages", types.NewObjectType("slipway.stages")), ext.Strings(), cel.EnableMacroCallTracking())

	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	opts = append(opts, cel.CustomTypeAdapter(registry), cel.CustomTypeProvider(provider{registry, l.fields}))
	if l.env, err = cel.NewEnv(opts...); err != nil {
		return nil, err
	}
	c.names, c.lang = names, l
	return l, nil
}

// same reports whether a and b are the same maps; equal ones cost only time.
func same(a, b pipeline.Names) bool {
	return reflect.ValueOf(a.Vars).Pointer() == reflect.ValueOf(b.Vars).Pointer() &&
		reflect.ValueOf(a.Stages).Pointer() == reflect.ValueOf(b.Stages).Pointer()
}

// provider tells CEL's checker of our types. Their values are Go maps, which
// CEL reads by key, so that fields need no accessors.
type provider struct {
	types.Provider
	fields map[string]map[string]*types.Type
}

func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := p.fields[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if f, ok := p.fields[name]; ok {
		return pipeline.Keys(f), true
	}
	return p.Provider.FindStructFieldNames(name)
}

func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if f, ok := p.fields[name]; ok {
		t, ok := f[field]
		return &types.FieldType{Type: t}, ok
	}
	return p.Provider.FindStructFieldType(name, field)
}

func celType(t pipeline.Type) *types.Type {
	switch t {
	case pipeline.String, pipeline.Secret:
		return types.StringType
	case pipeline.Int:
		return types.IntType
	case pipeline.Bool:
		return types.BoolType
	case pipeline.List:
		return types.NewListType(types.DynType)
	case pipeline.Map:
		return types.NewMapType(types.StringType, types.DynType)
	case pipeline.Image:
		return types.NewObjectType("slipway.Image")
	}
	return types.DynType
}

func typeOf(t *types.Type) pipeline.Type {
	switch t.Kind() {
	case types.StringKind:
		return pipeline.String
	case types.IntKind, types.UintKind:
		return pipeline.Int
	case types.BoolKind:
		return pipeline.Bool
	case types.ListKind:
		return pipeline.List
	case types.MapKind:
		return pipeline.Map
	case types.StructKind:
		return pipeline.Image
	}
	return pipeline.Any
}

// native turns a CEL value into the Go value that the rest of slipway knows.
func native(v ref.Val) any {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Int:
		return int64(v)
	case types.Bool:
		return bool(v)
	case types.Null:
		return nil
	}
	if m, ok := v.Value().(map[string]any); ok {
		if digest, ok := m["digest"].(string); ok {
			repository, _ := m["repository"].(string)
			tags, _ := m["tags"].([]string)
			return pipeline.ImageRef{Digest: digest, Repository: repository, Tags: tags}
		}
	}
	if got, err := v.ConvertToNative(reflect.TypeFor[any]()); err == nil {
		return got
	}
	return v.Value()
}

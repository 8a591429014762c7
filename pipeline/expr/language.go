package expr

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/slipway-ci/slipway/pipeline"
)

// A language is CEL with the names of one file.
type language struct {
	env     *cel.Env
	adapter types.Adapter
	factory celast.ExprFactory
	fields  map[string]map[string]*types.Type // fields by type name
	dashes  []pipeline.ID                     // stages with a dash in their id, the longest first
	bounds  cel.ProgramOption
	known   sync.Map // expressions that have been compiled, by their sense
}

// language returns the language for names. Making one costs a millisecond, so
// the last one is kept: a file has one set of names.
func (c *Compiler) language(names pipeline.Names) (*language, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
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
	for _, t := range []pipeline.Type{pipeline.Image, pipeline.Pushed} {
		object(objectName(t), pipeline.ImageFields(t))
	}
	facts := maps.Clone(pipeline.Facts())
	facts["vars"] = names.Vars
	for name, fields := range facts {
		opts = append(opts, cel.Variable(name, object("slipway."+name, fields)))
	}
	stages := map[string]*types.Type{}
	for id, outputs := range names.Stages {
		stages[string(id)] = object("slipway.stages."+string(id), outputs)
		if strings.Contains(string(id), "-") {
			l.dashes = append(l.dashes, id)
		}
		if matrix, ok := names.Matrix[id]; ok {
			stages[string(id)] = types.NewMapType(types.StringType, stages[string(id)])
			opts = append(opts, cel.Variable(matrixOf(id), object("slipway."+matrixOf(id), matrix)))
		}
	}
	slices.SortFunc(l.dashes, func(a, b pipeline.ID) int { return cmp.Or(len(b)-len(a), strings.Compare(string(a), string(b))) })
	l.fields["slipway.stages"] = stages
	object(version, versionFields())
	opts = append(opts, functions()...)
	opts = append(opts, cel.Variable("stages", types.NewObjectType("slipway.stages")), ext.Strings(), cel.EnableMacroCallTracking())

	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	opts = append(opts, cel.CustomTypeAdapter(registry), cel.CustomTypeProvider(provider{registry, l.fields}))
	l.adapter = registry
	if l.env, err = cel.NewEnv(opts...); err != nil {
		return nil, err
	}
	if l.bounds, err = bounded(l.env); err != nil {
		return nil, err
	}
	c.names, c.lang = names, l
	return l, nil
}

// matrixOf returns the name of the variable that is matrix in a stage: each has
// its own, so that one language serves the whole file.
func matrixOf(id pipeline.ID) string { return "matrix@" + string(id) }

// same reports whether a and b are the same maps; equal ones cost only time.
func same(a, b pipeline.Names) bool {
	return reflect.ValueOf(a.Vars).Pointer() == reflect.ValueOf(b.Vars).Pointer() &&
		reflect.ValueOf(a.Stages).Pointer() == reflect.ValueOf(b.Stages).Pointer()
}

// A cells is the map of a matrix stage's cells, in their order.
type cells struct {
	traits.Mapper
	adapter types.Adapter
	names   []string
}

func (c cells) Iterator() traits.Iterator { return types.NewStringList(c.adapter, c.names).Iterator() }

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
	case pipeline.Image, pipeline.Pushed:
		return types.NewObjectType(objectName(t))
	}
	return types.DynType
}

// objectName returns what CEL calls a type of image.
func objectName(t pipeline.Type) string { return "slipway." + strings.ReplaceAll(string(t), " ", "-") }

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
		if t.TypeName() == objectName(pipeline.Pushed) {
			return pipeline.Pushed
		}
		return pipeline.Image
	}
	return pipeline.Any
}

// native turns a CEL value into the Go value that the rest of slipway knows. It
// is an error if no type of the pipeline language holds it, or if it has more
// than maxParts: a list of CEL may hold the same list many times over.
func native(v ref.Val) (any, error) {
	left := maxParts
	return nativeOf(v, &left)
}

func nativeOf(v ref.Val, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, fmt.Errorf("value has more than %d elements (make a shorter list)", maxParts)
	}
	switch v := v.(type) {
	case types.String:
		return string(v), nil
	case types.Int:
		return int64(v), nil
	case types.Bool:
		return bool(v), nil
	case traits.Mapper:
		return nativeMap(v, left)
	case traits.Lister:
		list := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			el, err := nativeOf(it.Next(), left)
			if err != nil {
				return nil, err
			}
			list = append(list, el)
		}
		return list, nil
	}
	return nil, fmt.Errorf("value is of type %s (want text, a whole number, true or false, a list or a map)", v.Type().TypeName())
}

// nativeMap returns a map, or the image that it stands for.
func nativeMap(m traits.Mapper, left *int) (any, error) {
	if img, ok := m.Value().(imageMap); ok {
		return pipeline.ImageRef{Digest: img["digest"].(string), Repository: img["repository"].(string), Tags: img["tags"].([]string)}, nil
	}
	out := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, fmt.Errorf("key of a map is of type %s (want text)", key.Type().TypeName())
		}
		v, err := nativeOf(m.Get(key), left)
		if err != nil {
			return nil, err
		}
		out[string(name)] = v
	}
	return out, nil
}

// An imageMap is an image as expressions see it.
type imageMap map[string]any

package expr

import (
	"errors"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/slipway-ci/slipway/pipeline"
)

// version is the type of what semver gives. It is no name that an expression
// can have.
const version = "slipway/version"

// folderVar is the variable through which dirs sees the folders of the scope.
const folderVar = "dirs@"

// functions returns the functions that expressions have beside those of CEL.
func functions() []cel.EnvOption {
	text := func(name string, does func(string) string) cel.EnvOption {
		bind := cel.UnaryBinding(func(v ref.Val) ref.Val { return types.String(does(string(v.(types.String)))) })
		args := []*cel.Type{cel.StringType}
		return cel.Function(name, cel.MemberOverload("text_"+name, args, cel.StringType, bind), cel.Overload(name+"_text", args, cel.StringType, bind))
	}
	fallback := cel.BinaryBinding(func(v, or ref.Val) ref.Val {
		if s, ok := v.(traits.Sizer); ok && s.Size().Equal(types.Int(0)) == types.True {
			return or
		}
		return v
	})
	pair := func(t *cel.Type) []*cel.Type { return []*cel.Type{t, t} }
	list, dict := cel.ListType(cel.DynType), cel.MapType(cel.StringType, cel.DynType)
	parsed := types.NewObjectType(version)
	return []cel.EnvOption{
		text("lower", strings.ToLower),
		text("upper", strings.ToUpper),
		text("slug", pipeline.Slug),
		cel.Function("default",
			cel.MemberOverload("text_default", pair(cel.StringType), cel.StringType, fallback), cel.Overload("default_text", pair(cel.StringType), cel.StringType, fallback),
			cel.MemberOverload("list_default", pair(list), list, fallback), cel.Overload("default_list", pair(list), list, fallback),
			cel.MemberOverload("map_default", pair(dict), dict, fallback), cel.Overload("default_map", pair(dict), dict, fallback)),
		cel.Function("semver", cel.Overload("semver_text", []*cel.Type{cel.StringType}, parsed, cel.UnaryBinding(semver))),
		cel.Function("isSemver", cel.Overload("isSemver_text", []*cel.Type{cel.StringType}, cel.BoolType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			return types.Bool(semverPattern().MatchString(string(v.(types.String))))
		}))),
		cel.Macros(cel.GlobalMacro("dirs", 1, func(f cel.MacroExprFactory, _ celast.Expr, args []celast.Expr) (celast.Expr, *cel.Error) {
			return f.NewCall(folderVar, f.NewIdent(folderVar), args[0]), nil
		})),
		cel.Variable(folderVar, types.NewOpaqueType(folderVar)),
		cel.Function(folderVar, cel.Overload("dirs_text", []*cel.Type{types.NewOpaqueType(folderVar), cel.StringType}, cel.ListType(cel.StringType), cel.BinaryBinding(dirs))),
	}
}

// versionFields are the fields of what semver gives.
func versionFields() map[string]pipeline.Type {
	return map[string]pipeline.Type{
		"major": pipeline.Int, "minor": pipeline.Int, "patch": pipeline.Int,
		"prerelease": pipeline.String, "build": pipeline.String, "text": pipeline.String,
	}
}

// See https://semver.org; a v before it is usual in tags.
var semverPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^v?(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?$`)
})

func semver(v ref.Val) ref.Val {
	text := string(v.(types.String))
	m := semverPattern().FindStringSubmatch(text)
	if m == nil {
		return types.NewErr("semver: %q is no version such as v1.2.3 (ask isSemver before)", text)
	}
	fields := map[string]any{"prerelease": m[4], "build": m[5], "text": strings.TrimPrefix(text, "v")}
	for i, name := range []string{"major", "minor", "patch"} {
		fields[name], _ = strconv.Atoi(m[i+1]) // nine digits at most
	}
	return types.DefaultTypeAdapter.NativeToValue(fields)
}

// folders is the function that finds folders, as a value of CEL.
type folders func(pattern string) ([]string, error)

func dirs(f, pattern ref.Val) ref.Val {
	found, err := f.(folders)(string(pattern.(types.String)))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.NewStringList(types.DefaultTypeAdapter, found)
}

// ConvertToNative implements [ref.Val], as the other methods do.
func (folders) ConvertToNative(reflect.Type) (any, error) { return nil, errors.New("not a value") }

// ConvertToType implements [ref.Val].
func (folders) ConvertToType(ref.Type) ref.Val { return types.NewErr("not a value") }

// Equal implements [ref.Val].
func (folders) Equal(ref.Val) ref.Val { return types.False }

// Type implements [ref.Val].
func (folders) Type() ref.Type { return types.NewOpaqueType(folderVar) }

// Value implements [ref.Val].
func (f folders) Value() any { return f }

// usage says how the functions are called that people call otherwise.
var usage = map[string]string{
	"replace": "text.replace(old, new)", "split": "text.split(separator)", "join": "list.join(separator)",
	"trim": "text.trim()", "format": "text.format([value, …])", "matches": "text.matches(pattern)",
	"lower": "text.lower()", "upper": "text.upper()", "slug": "text.slug()", "default": "value.default(fallback), of one type",
	"semver": "semver(text).major", "isSemver": "isSemver(text)", "dirs": "dirs('folder/*')",
	"startsWith": "text.startsWith(part)", "endsWith": "text.endsWith(part)", "contains": "text.contains(part)",
	"substring": "text.substring(from, to)", "size": "value.size()",
}

var noOverload = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^found no matching overload for '(\w+)' applied to '(.*)'$`)
})

// Package expr evaluates expressions about objects, in the language that
// Kubernetes has for them: https://kubernetes.io/docs/reference/using-api/cel/.
package expr

import (
	"fmt"
	"regexp"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// CostLimit bounds what an expression may compute, as the API server does.
const CostLimit = 10_000_000

// Env returns the functions that expressions may use: those of CEL and of its
// extensions, and find. It has one variable, self. Others of Kubernetes' own,
// such as quantities, are unknown in it.
var Env = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("self", cel.DynType),
		cel.OptionalTypes(), cel.DefaultUTCTimeZone(true), cel.CrossTypeNumericComparisons(true),
		ext.Strings(), ext.Sets(), ext.Lists(), ext.Math(), ext.Encoders(), ext.TwoVarComprehensions(),
		cel.Function("find", cel.MemberOverload("k8s_find", []*cel.Type{cel.StringType, cel.StringType}, cel.StringType, cel.BinaryBinding(find))),
	)
})

// find is Kubernetes' own function: the first match of a pattern, or "".
func find(text, pattern ref.Val) ref.Val {
	re, err := regexp.Compile(fmt.Sprint(pattern.Value()))
	if err != nil {
		return types.NewErr("%v", err)
	}
	return types.String(re.FindString(fmt.Sprint(text.Value())))
}

// A Condition is an expression that holds for an object, or does not.
type Condition struct{ program cel.Program }

// Compile returns the condition that text says. Its error says where text is
// wrong, or that its value is no bool.
func Compile(text string) (*Condition, error) {
	env, err := Env()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fmt.Errorf("column %d: %s", first.Location.Column()+1, first.Message)
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it is %s, not a bool", t)
	}
	program, err := env.Program(ast, cel.CostLimit(CostLimit))
	if err != nil {
		return nil, err
	}
	return &Condition{program}, nil
}

// Holds reports whether the condition holds for object, which is self in it. Its
// error says why that cannot be said, such as a field that is not there (yet).
func (c *Condition) Holds(object map[string]any) (bool, error) {
	result, _, err := c.program.Eval(map[string]any{"self": object})
	if err != nil {
		return false, err
	}
	holds, ok := result.(types.Bool)
	if !ok {
		return false, fmt.Errorf("its value is %s, not a bool", result.Type().TypeName())
	}
	return bool(holds), nil
}

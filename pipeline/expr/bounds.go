package expr

import (
	"cmp"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	celfuncs "cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// CEL counts the cost of a call when it has been made: one call can fill the
// memory before it is found to be too dear. So what a call would give is measured
// before it is made.
const (
	maxText  = 1 << 20 // bytes of a text that an expression gives, or what stands around it
	maxParts = 100_000 // elements of a list or map, those of its elements too
)

// sizes are how long the text is at most that functions give, by their name: all
// those whose result can be much longer than what they are given.
func sizes() map[string]func(args []ref.Val) int {
	return map[string]func([]ref.Val) int{
		"replace": func(args []ref.Val) int {
			text, was, now := textOf(args[0]), textOf(args[1]), textOf(args[2])
			n := strings.Count(text, was)
			if len(args) == 4 {
				if most, ok := args[3].(types.Int); ok && most >= 0 {
					n = min(n, int(most))
				}
			}
			return len(text) + n*(len(now)-len(was))
		},
		"join": func(args []ref.Val) int {
			n, between := 0, 0
			if len(args) == 2 {
				between = len(textOf(args[1]))
			}
			list, _ := args[0].(traits.Lister)
			for it := list.Iterator(); it.HasNext() == types.True && n <= maxText; {
				n += len(textOf(it.Next())) + between
			}
			return n
		},
		"format": func(args []ref.Val) int {
			left := maxText - len(textOf(args[0]))
			spell(args[1], &left)
			return maxText - left
		},
	}
}

func textOf(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

// spell takes from left how long v is at most as a text. A list may hold itself
// many times over, so that it ends when nothing is left.
func spell(v ref.Val, left *int) {
	switch v := v.(type) {
	case types.String:
		*left -= 2 * len(v) // as %x
	case types.Bytes:
		*left -= 2 * len(v)
	case types.Double:
		*left -= 512 // as %f
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True && *left >= 0; {
			key := it.Next()
			spell(key, left)
			spell(v.Get(key), left)
		}
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True && *left >= 0; {
			spell(it.Next(), left)
			*left -= 2
		}
	default:
		*left -= 64 // as %b
	}
}

// bounded lets the functions of sizes refuse to give more than maxText.
func bounded(env *cel.Env) (cel.ProgramOption, error) {
	does := map[string]celfuncs.FunctionOp{} // by overload, and by function for those that CEL chooses while it evaluates
	for name := range sizes() {
		overloads, err := env.Functions()[name].Bindings()
		if err != nil {
			return nil, err
		}
		for _, o := range overloads {
			does[o.Operator] = operation(o)
		}
	}
	size := sizes()
	return cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		call, ok := i.(interpreter.InterpretableCall)
		if !ok || size[call.Function()] == nil {
			return i, nil
		}
		name := call.Function()
		do := does[cmp.Or(call.OverloadID(), name)]
		if do == nil {
			return nil, fmt.Errorf("%s has no overload %q", name, call.OverloadID())
		}
		return interpreter.NewCall(call.ID(), name, call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
			if size[name](args) > maxText {
				return types.NewErr("%s would make a text of more than 1 MiB (make it of fewer or shorter parts)", name)
			}
			return do(args...)
		}), nil
	}), nil
}

// operation returns what o does, whatever the number of its arguments is.
func operation(o *celfuncs.Overload) celfuncs.FunctionOp {
	return func(args ...ref.Val) ref.Val {
		switch {
		case len(args) == 1 && o.Unary != nil:
			return o.Unary(args[0])
		case len(args) == 2 && o.Binary != nil:
			return o.Binary(args[0], args[1])
		case o.Function != nil:
			return o.Function(args...)
		}
		return types.NewErr("no such overload: %s", o.Operator)
	}
}

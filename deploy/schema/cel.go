package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/expr"
)

// celRules evaluates the x-kubernetes-validations of a schema and of all below it.
func (c *checker) celRules(path deploy.Path, v any, s map[string]any) {
	if v == nil || s == nil {
		return
	}
	rules, _ := s["x-kubernetes-validations"].([]any)
	for _, r := range rules {
		if r, ok := r.(map[string]any); ok {
			c.celRule(path, v, s, r)
		}
	}
	switch body := v.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		additional, _ := s["additionalProperties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(body)) {
			below, ok := properties[name].(map[string]any)
			if !ok {
				below = additional
			}
			c.celRules(path.To(name), body[name], below)
		}
	case []any:
		items, _ := s["items"].(map[string]any)
		for n, item := range body {
			c.celRules(path.To(strconv.Itoa(n)), item, items)
		}
	}
}

// celRule evaluates one rule. What it cannot compile or compute, it leaves to
// the server; a rule about a transition holds for what is new.
func (c *checker) celRule(path deploy.Path, v any, s, rule map[string]any) {
	text, _ := rule["rule"].(string)
	env, err := expr.Env()
	if err != nil || strings.Contains(text, "oldSelf") {
		return
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return
	}
	program, err := env.Program(ast, cel.CostLimit(expr.CostLimit))
	if err != nil {
		return
	}
	self := celValue(v, s)
	result, _, err := program.Eval(map[string]any{"self": self})
	if err != nil || result != types.False {
		return
	}
	at := path
	if below, _ := rule["fieldPath"].(string); below != "" {
		at = path.To(deploy.ParsePath(strings.TrimPrefix(below, "."))...)
	}
	c.fail(at, BadField, "%s", c.message(rule, text, env, self))
}

// message returns what a broken rule says.
func (c *checker) message(rule map[string]any, text string, env *cel.Env, self any) string {
	if expression, _ := rule["messageExpression"].(string); expression != "" {
		if ast, issues := env.Compile(expression); issues.Err() == nil {
			if program, err := env.Program(ast, cel.CostLimit(expr.CostLimit)); err == nil {
				if said, _, err := program.Eval(map[string]any{"self": self}); err == nil {
					if words, ok := said.Value().(string); ok && strings.TrimSpace(words) != "" {
						return words
					}
				}
			}
		}
	}
	if message, _ := rule["message"].(string); message != "" {
		return message
	}
	return "breaks the rule " + strings.Join(strings.Fields(text), " ")
}

// celValue returns v as rules see it: with defaults, numbers of their type, and
// property names escaped.
func celValue(v any, s map[string]any) any {
	switch v := v.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		additional, _ := s["additionalProperties"].(map[string]any)
		seen := make(map[string]any, len(v))
		for name, value := range v {
			if below, ok := properties[name].(map[string]any); ok {
				seen[escaped(name)] = celValue(value, below)
			} else {
				seen[name] = celValue(value, additional)
			}
		}
		for name, below := range properties {
			below, _ := below.(map[string]any)
			if _, ok := v[name]; !ok && below["default"] != nil {
				seen[escaped(name)] = celValue(below["default"], below)
			}
		}
		return seen
	case []any:
		items, _ := s["items"].(map[string]any)
		list := make([]any, len(v))
		for n, item := range v {
			list[n] = celValue(item, items)
		}
		return list
	case string:
		return celText(v, s)
	}
	if n, ok := float(v); ok && s["type"] == "number" {
		return n
	}
	if whole(v) {
		return integer(v)
	}
	return v
}

func celText(text string, s map[string]any) any {
	switch s["format"] {
	case "date-time":
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return at
		}
	case "duration":
		if d, err := time.ParseDuration(text); err == nil {
			return d
		}
	}
	return text
}

// escaped is how rules write a name that CEL could not read, see
// https://kubernetes.io/docs/reference/using-api/cel/#escaping.
func escaped(name string) string {
	switch name {
	case "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return":
		return "__" + name + "__"
	}
	return strings.NewReplacer("__", "__underscores__", ".", "__dot__", "-", "__dash__", "/", "__slash__").Replace(name)
}

package pipeline

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Holds reports whether v is a value of type t.
func (t Type) Holds(v any) bool {
	got := TypeOf(v)
	return t == Any || got == t || t == Secret && got == String
}

// parse reads a value of type t from text, as flags and environment variables have it.
func (t Type) parse(text string) (any, error) {
	switch t {
	case Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no whole number", text)
		}
		return n, nil
	case Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", text)
		}
		return b, nil
	case List:
		var l []any
		if strings.HasPrefix(text, "[") {
			return l, json.Unmarshal([]byte(text), &l)
		}
		for _, s := range strings.Split(text, ",") {
			l = append(l, s)
		}
		return l, nil
	case Map:
		var m map[string]any
		return m, json.Unmarshal([]byte(text), &m)
	}
	return text, nil
}

// Outside is what the user sets vars with.
type Outside struct {
	Flags map[string]string                // --var NAME=VALUE
	Env   func(name string) (string, bool) // such as os.LookupEnv
}

// Resolve returns the values of p's vars for env. The last of these that sets
// a var wins: its default, the environment's vars, its environment variable, a
// flag. The error is an [ErrorList]: a var that nothing sets, a value of the
// wrong type, a flag for no var.
func (p *Pipeline) Resolve(env Environment, out Outside) (map[string]any, error) {
	var errs ErrorList
	vals := map[string]any{}
	known := map[string]bool{}
	for _, v := range p.Vars {
		known[v.Name] = true
		got := v.Default
		if set, ok := env.Vars[v.Name]; ok {
			got, _ = set.Eval(Scope{})
			if !v.Type.Holds(got) {
				errs.Add(set.Pos, "", "wrong-type", fmt.Errorf("environment %s: var %s is %v (want a value of type %s)", env.Name, v.Name, got, v.Type))
				continue
			}
		}
		text, from, ok := "", "", false
		if v.Env != "" && out.Env != nil {
			text, ok = out.Env(v.Env)
			from = "environment variable " + v.Env
		}
		if flag, set := out.Flags[v.Name]; set {
			text, from, ok = flag, "--var "+v.Name, true
		}
		if ok {
			var err error
			if got, err = v.Type.parse(text); err != nil {
				errs.Add(v.Pos, "", "wrong-type", fmt.Errorf("%s: %w (want a value of type %s)", from, err, v.Type))
				continue
			}
		}
		if got == nil {
			cure := "--var " + v.Name + "=…"
			if v.Env != "" {
				cure += " or the environment variable " + v.Env
			}
			errs.Add(v.Pos, "", "unset-var", fmt.Errorf("var %s has no value (set it with %s)", v.Name, cure))
			continue
		}
		vals[v.Name] = got
	}
	for name := range out.Flags {
		if !known[name] {
			errs.Add(p.Pos, "", "unknown-name", fmt.Errorf("--var %s: no var is called that%s", name, Nearest(name, varNames(p.Vars))))
		}
	}
	return vals, errs.Err()
}

// Secrets returns the values among vals whose vars are secrets.
func (p *Pipeline) Secrets(vals map[string]any) []string {
	var secrets []string
	for _, v := range p.Vars {
		if s, ok := vals[v.Name].(string); ok && v.Type == Secret && s != "" {
			secrets = append(secrets, s)
		}
	}
	return secrets
}

func varNames(vars []Var) []string {
	var names []string
	for _, v := range vars {
		names = append(names, v.Name)
	}
	return names
}

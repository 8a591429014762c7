package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
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
			if err := fromJSON(text, &l); err != nil {
				return nil, fmt.Errorf("%q is no list (write a,b or JSON: [\"a\", \"b\"])", text)
			}
			return l, nil
		}
		for _, s := range strings.Split(text, ",") {
			l = append(l, s)
		}
		return l, nil
	case Map:
		var m map[string]any
		if err := fromJSON(text, &m); err != nil {
			return nil, fmt.Errorf("%q is no map (write JSON: {\"name\": \"value\"})", text)
		}
		return m, nil
	}
	return text, nil
}

// Check reports what is wrong with got as the value of v. It does not show the
// value of a secret.
func (v Var) Check(got any) error {
	show := fmt.Sprintf("%v", got)
	if v.Type == Secret {
		show = "the secret"
	}
	if !v.Type.Holds(got) {
		if t := TypeOf(got); (v.Type == String || v.Type == Secret) && (t == Int || t == Bool) {
			return fmt.Errorf("%s is no text (quote it)", show)
		}
		return fmt.Errorf("%s is no value of type %s", show, v.Type)
	}
	if text, ok := got.(string); ok && v.Pattern != "" {
		if re, err := regexp.Compile(`^(?:` + v.Pattern + `)$`); err != nil {
			return err
		} else if !re.MatchString(text) {
			return fmt.Errorf("%s does not match the pattern %s", show, v.Pattern)
		}
	}
	if len(v.OneOf) > 0 && !slices.ContainsFunc(v.OneOf, func(o any) bool { return fmt.Sprint(o) == fmt.Sprint(got) }) {
		var words []string
		for _, o := range v.OneOf {
			words = append(words, fmt.Sprint(o))
		}
		return fmt.Errorf("%s is none of %s%s", show, strings.Join(words, ", "), Nearest(fmt.Sprint(got), words))
	}
	n, ok := got.(int)
	switch {
	case ok && v.Min != nil && n < *v.Min:
		return fmt.Errorf("%d is too small (want %d or more)", n, *v.Min)
	case ok && v.Max != nil && n > *v.Max:
		return fmt.Errorf("%d is too large (want %d or less)", n, *v.Max)
	}
	return nil
}

// empty returns the value of an optional var that nothing sets.
func (t Type) empty() any {
	switch t {
	case Int:
		return 0
	case Bool:
		return false
	case List:
		return []any{}
	case Map:
		return map[string]any{}
	}
	return ""
}

// fromJSON decodes text into the list or map that v points to, with numbers as
// YAML has them: whole ones are of type int.
func fromJSON[T []any | map[string]any](text string, v *T) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("there is more after it")
	}
	numbers(*v) // in place
	return nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		f, _ := v.Float64() // JSON has no numbers that are none
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// Outside is what the user sets vars with.
type Outside struct {
	Flags map[string]string                // --var NAME=VALUE
	Files map[string]Given                 // --var-file
	Env   func(name string) (string, bool) // such as os.LookupEnv
}

// A Given is what a file gives a var.
type Given struct {
	Pos   Pos
	Text  string // a scalar, as it is written
	Value any    // a list or map; nil for a scalar
}

// A Setting is the value of a var, and where it came from.
type Setting struct {
	Var   Var
	Value any
	From  string // such as "default", "environment staging" or "--var"
	Pos   Pos    // where it is written; the zero Pos if that is in no file
}

// Resolve returns the values of p's vars for env, as [Pipeline.Settings] does.
func (p *Pipeline) Resolve(env Environment, out Outside) (map[string]any, error) {
	settings, err := p.Settings(env, out)
	vals := map[string]any{}
	for _, s := range settings {
		vals[s.Var.Name] = s.Value
	}
	return vals, err
}

// Settings returns the values of p's vars for env, in the order of the file. The
// last of these that sets a var wins: its default, the environment's vars, its
// environment variable, a file, a flag. The error is an [ErrorList]: a var that
// nothing sets, a value that it cannot have, a value for no var.
func (p *Pipeline) Settings(env Environment, out Outside) ([]Setting, error) {
	var errs ErrorList
	var settings []Setting
	for _, v := range p.Vars {
		s, err := v.setting(env, out)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		settings = append(settings, s)
	}
	names := varNames(p.Vars)
	for _, name := range Keys(out.Files) {
		if !slices.Contains(names, name) {
			errs.Add(out.Files[name].Pos, "", "unknown-name", fmt.Errorf("no var is called %q%s", name, Nearest(name, names)))
		}
	}
	for _, name := range Keys(out.Flags) {
		if !slices.Contains(names, name) {
			errs.Add(p.Pos, "", "unknown-name", fmt.Errorf("--var %s: no var is called that%s", name, Nearest(name, names)))
		}
	}
	return settings, errs.Err()
}

// setting finds the value of v.
func (v Var) setting(env Environment, out Outside) (Setting, *Error) {
	fail := func(pos Pos, code string, err error) (Setting, *Error) {
		return Setting{}, &Error{Pos: pos, Code: code, Err: err}
	}
	s := Setting{Var: v, Value: v.Default, From: "default", Pos: v.Pos}
	if v.Optional {
		s.Value, s.From = v.Type.empty(), "not set"
	}
	if set, ok := env.Vars[v.Name]; ok {
		got, _ := set.Eval(Scope{}) // no expression may stand there
		s = Setting{Var: v, Value: got, From: "environment " + env.Name, Pos: set.Pos}
	}
	text, from, pos, ok := "", "", Pos{}, false
	if v.Env != "" && out.Env != nil {
		text, ok = out.Env(v.Env)
		from = "environment variable " + v.Env
	}
	if given, set := out.Files[v.Name]; set {
		text, from, pos, ok = given.Text, given.Pos.File, given.Pos, given.Value == nil
		if given.Value != nil {
			s = Setting{Var: v, Value: given.Value, From: from, Pos: pos}
		}
	}
	if flag, set := out.Flags[v.Name]; set {
		text, from, pos, ok = flag, "--var "+v.Name, Pos{}, true
	}
	if ok {
		got, err := v.Type.parse(text)
		if err != nil {
			if pos != (Pos{}) {
				return fail(pos, "wrong-type", fmt.Errorf("var %s: %w (want a value of type %s)", v.Name, err, v.Type))
			}
			return fail(v.Pos, "wrong-type", fmt.Errorf("%s: %w (want a value of type %s)", from, err, v.Type))
		}
		s = Setting{Var: v, Value: got, From: from, Pos: pos}
	}
	if s.Value == nil {
		cure := "--var " + v.Name + "=…"
		if v.Env != "" {
			cure += " or the environment variable " + v.Env
		}
		return fail(v.Pos, "unset-var", fmt.Errorf("var %s has no value (set it with %s)", v.Name, cure))
	}
	if s.From == "not set" {
		return s, nil
	}
	if err := v.Check(s.Value); err != nil {
		if s.Pos == (Pos{}) {
			return fail(v.Pos, "bad-value", fmt.Errorf("%s: %w", s.From, err))
		}
		return fail(s.Pos, "bad-value", fmt.Errorf("var %s: %w", v.Name, err))
	}
	return s, nil
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

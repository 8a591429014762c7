package pipeline_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
)

// TestSettings checks who wins, and that each value says where it came from.
func TestSettings(t *testing.T) {
	two, nine := 2, 9
	p := &pipeline.Pipeline{Vars: []pipeline.Var{
		{Name: "a", Type: pipeline.String, Default: "default", Env: "A"},
		{Name: "n", Type: pipeline.Int, Default: 3, Min: &two, Max: &nine},
		{Name: "l", Type: pipeline.List, Optional: true},
		{Name: "s", Type: pipeline.Secret, Optional: true, Pattern: "[a-z]+"},
	}}
	at := pipeline.Pos{File: "vars.yaml", Line: 1, Col: 4}
	env := pipeline.Environment{Name: "staging", Vars: map[string]pipeline.Value{"a": pipeline.Known("environment")}}
	outer := func(name string) (string, bool) { return "variable", name == "A" }
	file := func(name, text string) map[string]pipeline.Given {
		return map[string]pipeline.Given{name: {Pos: at, Text: text}}
	}
	for _, tt := range []struct {
		env  pipeline.Environment
		out  pipeline.Outside
		want string // of one var, or part of the error
	}{
		{out: pipeline.Outside{}, want: "a=default from default"},
		{env: env, want: "a=environment from environment staging"},
		{env: env, out: pipeline.Outside{Env: outer}, want: "a=variable from environment variable A"},
		{env: env, out: pipeline.Outside{Env: outer, Files: file("a", "file")}, want: "a=file from vars.yaml"},
		{out: pipeline.Outside{Env: outer, Files: file("a", "file"), Flags: map[string]string{"a": "flag"}}, want: "a=flag from --var a"},
		{out: pipeline.Outside{Files: file("n", "2")}, want: "n=2 from vars.yaml"},
		{out: pipeline.Outside{Files: map[string]pipeline.Given{"l": {Pos: at, Value: []any{1}}}}, want: "l=[1] from vars.yaml"},
		{want: "l=[] from not set"},
		{out: pipeline.Outside{Flags: map[string]string{"l": `[1, "a", {"b": [2]}]`}}, want: "l=[1 a map[b:[2]]] from --var l"},
		{want: "s= from not set"},

		{out: pipeline.Outside{Files: file("n", "1")}, want: "vars.yaml:1:4: var n: 1 is too small (want 2 or more)"},
		{out: pipeline.Outside{Files: file("n", "ten")}, want: `vars.yaml:1:4: var n: "ten" is no whole number (want a value of type int)`},
		{out: pipeline.Outside{Flags: map[string]string{"n": "10"}}, want: "--var n: 10 is too large (want 9 or less)"},
		{out: pipeline.Outside{Files: file("nn", "1")}, want: `vars.yaml:1:4: no var is called "nn" (did you mean "n"?)`},
		{out: pipeline.Outside{Files: file("s", "S3CRET")}, want: "vars.yaml:1:4: var s: the secret does not match the pattern [a-z]+"},
		{out: pipeline.Outside{Flags: map[string]string{"l": "[a"}}, want: `"[a" is no list (write a,b or JSON`},
	} {
		settings, err := p.Settings(tt.env, tt.out)
		got := fmt.Sprint(err)
		for _, s := range settings {
			got += fmt.Sprintf("\n%s=%v from %s", s.Var.Name, s.Value, s.From)
		}
		if !strings.Contains(got, tt.want) || err == nil != strings.Contains(tt.want, " from ") {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		for _, s := range settings {
			if l, ok := s.Value.([]any); ok && len(l) > 0 && l[0] != 1 {
				t.Errorf("%#v is no whole number", l[0])
			}
		}
		if strings.Contains(got, "S3CRET") {
			t.Errorf("a secret is shown: %s", got)
		}
	}
}

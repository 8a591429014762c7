package expr_test

import (
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/expr"
)

// TestHabits writes what people know from GitHub: each is one error, on that
// word, that says how it is written here.
func TestHabits(t *testing.T) {
	for text, want := range map[string]string{
		"always()":                              "as the key always: true",
		"success() && git.dirty":                "as nothing: a stage runs only after its needs have succeeded",
		"failure()":                             "as the key always: true, and a script",
		"!cancelled()":                          "as nothing",
		"secrets.NPM_TOKEN":                     "as a var: vars: {token: {type: secret, env: TOKEN}}, then vars.token",
		"env.HOME":                              "as a var: vars: {name: {env: NAME}}",
		"github.sha":                            "git.sha)",
		"github.ref_name == 'main'":             "git.branch, or git.tag)",
		"github.event.inputs.x":                 "git.sha, git.branch, git.tag",
		"inputs.version":                        "as a var: vars: {name: {}}, then vars.name, and --var name=…",
		"steps.x.outputs.y":                     "stages.NAME.OUTPUT",
		"needs.x.outputs.y":                     "stages.NAME.OUTPUT",
		"strategy.job":                          "matrix.NAME",
		"contains(vars.registry, 'x')":          "text.contains(part), or element in list",
		"contains(vars.dirs, 'x')":              "text.contains(part), or element in list",
		"startsWith(git.tag, 'v')":              "text.startsWith(part)",
		"1 == 1 && endsWith(git.tag, 'v')":      "text.endsWith(part)",
		"join(vars.dirs, ',')":                  "list.join(separator)",
		"format('{0}', git.tag)":                "'%s'.format([value])",
		"hashFiles('go.sum')":                   "stages.NAME.key",
		"fromJSON('[]')":                        "as a var of type list or map",
		"toJSON(vars.dirs)":                     "field by field",
		"startsWith('a', startsWith('b', 'c'))": "text.startsWith(part)",
	} {
		_, err := new(expr.Compiler).Bare(text, at, names)
		var list pipeline.ErrorList
		list.Add(pipeline.Pos{}, "", "", err)
		if len(list) != 1 || !strings.Contains(err.Error(), "(here it is written "+want) {
			t.Errorf("%s: %v, want … here it is written %s", text, err, want)
			continue
		}
		word := strings.FieldsFunc(text[list[0].Pos.Col-1:], func(r rune) bool { return r == '.' || r == '(' })[0]
		if !strings.Contains(list[0].Err.Error(), word) {
			t.Errorf("%s: %v does not stand on the word, but on %s", text, err, word)
		}
	}
	// What is written as here is right, also where a variable has such a name.
	for _, text := range []string{"git.tag.contains('x')", "vars.dirs.map(env, 'x')", "vars.dirs.exists(job, job == 'a')"} {
		if _, err := new(expr.Compiler).Bare(text, at, names); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestCost evaluates what would take for ever.
func TestCost(t *testing.T) {
	list := "[" + strings.Repeat("1,", 99) + "1]"
	for _, text := range []string{
		strings.Repeat(list+".map(x, ", 5) + "1" + strings.Repeat(")", 5) + ".size() == 1",
		"['xxxxxxxxxxxxxxxx']" + strings.Repeat(".map(x, x + x)", 40) + ".size() == 1",
	} {
		e, err := new(expr.Compiler).Bare(text, at, names)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Eval(scope()); err == nil || !strings.Contains(err.Error(), "too much work") {
			t.Errorf("%.60s…: %v", text, err)
		}
	}
}

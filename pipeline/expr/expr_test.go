package expr_test

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/expr"
)

var names = pipeline.Names{
	Vars: map[string]pipeline.Type{"registry": pipeline.String, "replicas": pipeline.Int, "token": pipeline.Secret, "dirs": pipeline.List},
	Stages: map[pipeline.ID]map[string]pipeline.Type{
		"api":    {"image": pipeline.Image, "digest": pipeline.String, "status": pipeline.String},
		"my-api": {"image": pipeline.Pushed, "status": pipeline.String},
		"svc":    {"ref": pipeline.String, "status": pipeline.String},
	},
	Matrix: map[pipeline.ID]map[string]pipeline.Type{"svc": {"svc": pipeline.String, "port": pipeline.Int, "cell": pipeline.String}},
	Cells:  map[pipeline.ID][]string{"svc": {"web", "cart"}},
	Stage:  "svc",
}

func scope() pipeline.Scope {
	sc := pipeline.Scope{Steps: new(pipeline.Results), Facts: map[string]any{
		"vars":   map[string]any{"registry": "r.example", "replicas": 2, "token": "s3cret", "dirs": []any{"a", "b"}},
		"git":    func() any { return map[string]any{"sha": "abc", "dirty": false} },
		"ci":     errors.New("no CI"),
		"matrix": map[string]any{"svc": "web", "port": 80, "cell": "web"},
	}, Cells: names.Cells}
	sc.Steps.Keep(pipeline.Ref{Stage: "svc", Cell: "web", Output: "ref"}, "r.example/web@1")
	sc.Steps.End("svc[web]", "ok")
	sc.Steps.End("svc[cart]", "failed")
	sc.Steps.Keep(pipeline.Ref{Stage: "my-api", Output: "image"}, pipeline.ImageRef{Digest: "sha256:1", Repository: "r.example/my", Tags: []string{"v1"}})
	return sc
}

func at(offset int) pipeline.Pos { return pipeline.Pos{File: "f", Line: 1, Col: offset + 1} }

func TestEval(t *testing.T) {
	for _, tt := range []struct {
		text string
		want any
		typ  pipeline.Type
	}{
		{"${{ vars.registry }}/api", "r.example/api", pipeline.String},
		{"${{ vars.replicas + 1 }}", int64(3), pipeline.Int},
		{"n=${{ vars.replicas }}", "n=2", pipeline.String},
		{"${{ !git.dirty }}", true, pipeline.Bool},
		{"${{ {'a': {'b': '}}'}}.a.b }}", "}}", pipeline.String},
		{`${{ "quo}}te" + 'x' }}`, "quo}}tex", pipeline.String},
		{"${{ 'a,b'.split(',').join('-') }}", "a-b", pipeline.String},
		{`${{ stages["my-api"].image }}`, pipeline.ImageRef{Digest: "sha256:1", Repository: "r.example/my", Tags: []string{"v1"}}, pipeline.Pushed},
		{`${{ stages["my-api"].image.ref }}`, "r.example/my:v1@sha256:1", pipeline.String},
		{"$${{ not ${{ git.sha }}", "${{ not abc", pipeline.String},
		{"${{ vars.dirs.size() }}", int64(2), pipeline.Int},
		{"${{ matrix.svc }}:${{ matrix.port + 1 }}", "web:81", pipeline.String},
		{"${{ stages.svc['web'].ref }}", "r.example/web@1", pipeline.String},
		{"${{ stages['svc']['web']['ref'] }}", "r.example/web@1", pipeline.String},
		{"${{ stages.svc[matrix.svc].ref }}", "r.example/web@1", pipeline.String},
		{"${{ stages.svc.size() }}", int64(2), pipeline.Int},
		{"${{ stages.svc.map(c, c + '=' + stages.svc[c].status) }}", []any{"web=ok", "cart=failed"}, pipeline.List},
		{"${{ stages.svc.exists(c, stages.svc[c].status == 'failed') }}", true, pipeline.Bool},
		{"${{ 'cart' in stages.svc }}", true, pipeline.Bool},
	} {
		e, err := new(expr.Compiler).Template(tt.text, at, names)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		got, err := e.Eval(scope())
		if err != nil || !reflect.DeepEqual(got, tt.want) || e.Type() != tt.typ {
			t.Errorf("%s = %#v (%s), %v, want %#v (%s)", tt.text, got, e.Type(), err, tt.want, tt.typ)
		}
	}
}

func TestPlainText(t *testing.T) {
	if e, err := new(expr.Compiler).Template("no { expression }}", at, names); e != nil || err != nil {
		t.Errorf("got %v, %v", e, err)
	}
}

// TestShow checks that what is known of a promise is shown, and nothing that
// would be a guess.
func TestShow(t *testing.T) {
	for text, want := range map[string]string{
		"${{ 'r.example/api:' + stages.api.digest }}":        "r.example/api:(known after api)",
		"${{ vars.registry }}/api@${{ stages.api.digest }}":  "r.example/api@(known after api)",
		"a ${{ 'b ' + stages.api.image.digest + ' c' }} d":   "a b (known after api) c d",
		"${{ stages.api.digest }}":                           "(known after api)",
		"${{ stages.api.digest == '' ? 'none' : 'some' }}":   "(known after api)",
		"${{ 'x' + stages.api.digest.substring(0, 7) }}":     "(known after api)",
		"${{ stages.svc['cart'].ref }}":                      "(known after svc[cart])",
		"x ${{ stages.svc[matrix.svc].ref }}":                "x r.example/web@1",
		"${{ stages.svc.map(c, stages.svc[c].ref).join() }}": "(known after svc)",
		"${{ 'x' + vars.token + stages.api.digest }}":        "***",
	} {
		e, err := new(expr.Compiler).Template(text, at, names)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		v := pipeline.Written(pipeline.Pos{}, e)
		if got := v.Show(scope()); got != want {
			t.Errorf("%s: shows %q, want %q", text, got, want)
		}
		if got := v.In(scope()).String(); got != want {
			t.Errorf("%s: is %q, want %q", text, got, want)
		}
	}
}

func TestRefs(t *testing.T) {
	for text, want := range map[string]pipeline.Ref{
		"${{ stages.svc['web'].ref }}":                       {Stage: "svc", Cell: "web", Output: "ref"},
		"${{ stages.svc[matrix.svc].ref }}":                  {Stage: "svc", Key: "svc", Output: "ref"},
		"${{ stages.svc[vars.registry].ref }}":               {Stage: "svc", Output: "ref"},
		"${{ stages.svc.map(c, stages.svc[c].ref).join() }}": {Stage: "svc", Output: "ref"},
	} {
		e, err := new(expr.Compiler).Template(text, at, names)
		if err != nil || len(e.Refs()) != 1 || e.Refs()[0] != want {
			t.Errorf("%s: %+v, %v, want %+v", text, e.Refs(), err, want)
		}
	}
	e, err := new(expr.Compiler).Template("${{ stages.svc[vars.registry].status }}", at, names)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Eval(scope()); err == nil || !strings.Contains(err.Error(), "no such key: r.example") {
		t.Errorf("a cell that is not there: %v", err)
	}
}

func TestUnkept(t *testing.T) {
	e, err := new(expr.Compiler).Template("${{ stages.api.digest }}-${{ git.sha }}", at, names)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Refs(); !reflect.DeepEqual(got, []pipeline.Ref{{Stage: "api", Output: "digest"}}) {
		t.Errorf("refs = %+v", got)
	}
	if _, err := e.Eval(scope()); !errors.Is(err, pipeline.ErrUnkept) {
		t.Errorf("error = %v", err)
	}
}

func TestSecret(t *testing.T) {
	for text, want := range map[string]pipeline.Type{"${{ vars.token }}": pipeline.Secret, "x${{ vars.token }}": pipeline.String} {
		e, err := new(expr.Compiler).Template(text, at, names)
		if err != nil || !e.Secret() || e.Type() != want {
			t.Errorf("%s: secret %v, type %s, %v", text, e.Secret(), e.Type(), err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		text string
		col  int
		want string
	}{
		{"ab ${{ vars.registri }}", 13, `no var is called "registri" (did you mean "registry"?)`},
		{"${{ stages.apy.image }}", 12, `no stage is called "apy" (did you mean "api"?)`},
		{"${{ stages.api.imge }}", 16, `stage api has no output "imge" (did you mean "image"?)`},
		{"${{ stages.my-api.image }}", 5, `write stages["my-api"]`},
		{"${{ stages.api }}", 12, "stage api is not a value"},
		{"${{ git }}", 5, "git is not a value"},
		{"${{ gti.sha }}", 5, "there is no gti"},
		{"${{ vars.replicas + 'x' }}", 19, "no matching overload"},
		{"${{ 1 +", 1, `not closed (want "}}" after it)`},
		{"${{ }}", 4, "empty"},
		{"x ${{ stages.api.image }}", 6, "an image is no text"},
		{"x ${{ vars.dirs }}", 6, "a list cannot stand inside a text"},
		{"${{ replace(vars.registry, '.', '-') }}", 12, "replace is called with (string, string, string) (want text.replace(old, new))"},
		{"${{ vars.replicas.default(1) }}", 26, "want value.default(fallback), of one type"},
		{"${{ semver(git.tag).mayor }}", 20, `there is no field mayor (did you mean "major"?)`},
		{"${{ git.tag.slugg() }}", 13, `there is no slugg (did you mean "slug"?)`},
	} {
		_, err := new(expr.Compiler).Template(tt.text, at, names)
		var list pipeline.ErrorList
		list.Add(pipeline.Pos{}, "", "", err)
		if err == nil || !strings.Contains(err.Error(), tt.want) || list[0].Pos.Col != tt.col {
			t.Errorf("%s\ngot  %v\nwant col %d: …%s…", tt.text, err, tt.col, tt.want)
		}
	}
	for text, want := range map[string]string{
		"semver(vars.registry).major": `"r.example" is no version such as v1.2.3 (ask isSemver before)`,
		"dirs('x/*')":                 "no folders are known here",
	} {
		e, err := new(expr.Compiler).Bare(text, at, names)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Eval(scope()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	e, err := new(expr.Compiler).Bare("ci.name == 'x'", at, names)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Eval(scope()); err == nil || !strings.Contains(err.Error(), "no CI") {
		t.Errorf("a fact that could not be found out: %v", err)
	}
}

var row = regexp.MustCompile("(?m)^\\| `(.+)` \\| `(.+)` \\|$")

// TestDocs evaluates both sides of the tables of functions in the docs.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("### Functions"))
	sc := pipeline.Scope{Facts: map[string]any{
		"git":  map[string]any{"branch": "main", "tag": "", "slug": "main"},
		"dirs": func(string) ([]string, error) { return []string{"cart", "web"}, nil },
	}}
	rows := row.FindAllStringSubmatch(string(text), -1)
	for _, m := range rows {
		var got [2]any
		for i, src := range m[1:] {
			e, err := new(expr.Compiler).Bare(src, at, names)
			if err != nil {
				t.Fatalf("%s: %v", src, err)
			}
			if got[i], err = e.Eval(sc); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s is %#v, and not %s", m[1], got[0], m[2])
		}
	}
	if len(rows) < 15 {
		t.Errorf("only %d rows found", len(rows))
	}
}

// TestTogether compiles for two sets of names at the same time, as stages do that
// are planned together. It is for make race.
func TestTogether(t *testing.T) {
	var c expr.Compiler
	other := names
	other.Vars = map[string]pipeline.Type{"registry": pipeline.Int}
	var wg sync.WaitGroup
	for i := range 16 {
		in, want := names, pipeline.String
		if i%2 == 1 {
			in, want = other, pipeline.Int
		}
		wg.Go(func() {
			e, err := c.Template("${{ vars.registry }}", at, in)
			if err != nil || e.Type() != want {
				t.Errorf("got %v, %v, want the type %s", e, err, want)
			}
		})
	}
	wg.Wait()
}

func FuzzTemplate(f *testing.F) {
	f.Add("a ${{ vars.registry }} ${{ {'a': 1}.a }}")
	f.Add(`${{ stages["my-api"].image.ref }}`)
	f.Add("${{ '''}}''' }}")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := new(expr.Compiler).Template(text, at, names)
		if e != nil && err == nil {
			_, _ = e.Eval(scope())
		}
	})
}

// What matrix is differs from stage to stage, for the same words in one file.
func TestMatrixOfStages(t *testing.T) {
	two := names
	two.Matrix = map[pipeline.ID]map[string]pipeline.Type{"svc": {"v": pipeline.String}, "api": {"v": pipeline.Int}}
	c := &expr.Compiler{}
	for stage, want := range map[pipeline.ID]pipeline.Type{"svc": pipeline.String, "api": pipeline.Int} {
		two.Stage = stage
		for range 2 {
			e, err := c.Template("${{ matrix.v }}", func(int) pipeline.Pos { return pipeline.Pos{} }, two)
			if err != nil {
				t.Fatalf("stage %s: %v", stage, err)
			}
			if e.Type() != want {
				t.Errorf("stage %s: got type %v, want %v", stage, e.Type(), want)
			}
		}
	}
}

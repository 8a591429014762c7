package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
)

func stages(edges ...string) []pipeline.Stage {
	var all []pipeline.Stage
	for _, e := range edges {
		id, needs, _ := strings.Cut(e, "<")
		st := pipeline.Stage{ID: pipeline.ID(id), Pos: pipeline.Pos{File: "f", Line: len(all) + 1, Col: 1}}
		for _, n := range strings.Fields(needs) {
			st.Needs = append(st.Needs, pipeline.Need{Stage: pipeline.ID(n)})
		}
		all = append(all, st)
	}
	return all
}

func TestOrder(t *testing.T) {
	order, err := pipeline.Order(stages("d<b c", "b<a", "c<a", "a", "e"))
	if err != nil || fmt.Sprint(order) != "[3 4 1 2 0]" {
		t.Errorf("order = %v, %v", order, err)
	}
	_, err = pipeline.Order(stages("a<c", "b<a", "c<b", "d"))
	if err == nil || !strings.Contains(err.Error(), "a → c → b → a") {
		t.Errorf("error = %v", err)
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"biuld", "build"}, {"Build", "build"}, {"buidl", "build"}, {"dploy", "deploy"}, {"frobnicate", ""}, {"x", ""},
	} {
		want := ""
		if tt.want != "" {
			want = fmt.Sprintf(" (did you mean %q?)", tt.want)
		}
		if got := pipeline.Nearest(tt.word, []string{"build", "deploy", "exec"}); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.word, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	p := &pipeline.Pipeline{Vars: []pipeline.Var{
		{Name: "r", Type: pipeline.String, Default: "default", Env: "R"},
		{Name: "n", Type: pipeline.Int, Default: 1},
		{Name: "l", Type: pipeline.List, Default: []any{"x"}},
	}}
	env := pipeline.Environment{Vars: map[string]pipeline.Value{"r": pipeline.Known("environment")}}
	outer := func(name string) (string, bool) { return "variable", name == "R" }
	for _, tt := range []struct {
		env  pipeline.Environment
		out  pipeline.Outside
		want map[string]any
	}{
		{pipeline.Environment{}, pipeline.Outside{}, map[string]any{"r": "default", "n": 1, "l": []any{"x"}}},
		{env, pipeline.Outside{}, map[string]any{"r": "environment", "n": 1, "l": []any{"x"}}},
		{env, pipeline.Outside{Env: outer}, map[string]any{"r": "variable", "n": 1, "l": []any{"x"}}},
		{env, pipeline.Outside{Env: outer, Flags: map[string]string{"r": "flag", "n": "2", "l": "a,b"}}, map[string]any{"r": "flag", "n": 2, "l": []any{"a", "b"}}},
	} {
		got, err := p.Resolve(tt.env, tt.out)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("got %v, %v, want %v", got, err, tt.want)
		}
	}
	p.Vars = append(p.Vars, pipeline.Var{Name: "must", Type: pipeline.String, Env: "MUST"})
	_, err := p.Resolve(env, pipeline.Outside{Flags: map[string]string{"n": "two", "x": "1"}})
	for _, want := range []string{`"two" is no whole number`, "var must has no value (set it with --var must=… or the environment variable MUST)", "--var x: no var is called that"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %s", err, want)
		}
	}
}

func TestErrorList(t *testing.T) {
	var l pipeline.ErrorList
	l.Add(pipeline.Pos{}, "", "", nil)
	if l.Err() != nil {
		t.Error("nil was added")
	}
	inner := &pipeline.Error{Pos: pipeline.Pos{File: "f", Line: 9}, Code: "inner", Err: errors.New("x")}
	l.Add(pipeline.Pos{File: "f", Line: 2}, "b", "c", errors.New("y"))
	l.Add(pipeline.Pos{File: "f", Line: 1}, "a", "c", pipeline.ErrorList{inner})
	var got pipeline.ErrorList
	if !errors.As(l.Err(), &got) || len(got) != 2 || got[1] != inner || inner.Stage != "a" || inner.Code != "inner" {
		t.Errorf("list = %v", l)
	}
}

func TestValue(t *testing.T) {
	img := pipeline.ImageRef{Digest: "sha256:1", Repository: "r/x", Tags: []string{"v1"}}
	if got := img.String(); got != "r/x:v1@sha256:1" {
		t.Errorf("ref = %s", got)
	}
	promise := pipeline.Promise("api", "image", pipeline.Image)
	b, err := json.Marshal(map[string]pipeline.Value{"known": pipeline.Known(img), "promised": promise})
	if want := `{"known":{"digest":"sha256:1","repository":"r/x","tags":["v1"]},"promised":"(known after api)"}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v", b, err)
	}
	sc := pipeline.Scope{Steps: new(pipeline.Results)}
	if _, err := promise.Image(sc); !errors.Is(err, pipeline.ErrUnkept) {
		t.Errorf("error = %v", err)
	}
	var decoded map[string]any
	if err := json.Unmarshal([]byte(`{"digest":"sha256:1","repository":"r/x","tags":["v1"]}`), &decoded); err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{img, decoded} {
		sc.Steps.Keep(pipeline.Ref{Stage: "api", Output: "image"}, v)
		if got, err := promise.Image(sc); err != nil || !reflect.DeepEqual(got, img) {
			t.Errorf("image of %T = %v, %v", v, got, err)
		}
	}
	if _, err := pipeline.Known("text").Image(sc); err == nil {
		t.Error("text is an image")
	}
}

// ExamplePlan_Unchecked shows how a plan that could not be checked differs from
// one that failed.
func ExamplePlan_Unchecked() {
	plan := &pipeline.Plan{Steps: []pipeline.Step{{ID: "api", Action: pipeline.Action{
		Unchecked: []error{errors.New("registry r.example: connection refused")},
	}}}}
	fmt.Println(plan.Unchecked())
	// Output: stage api: registry r.example: connection refused
}

// axis makes an axis of values.
func axis(name string, vals ...any) pipeline.Axis {
	a := pipeline.Axis{Name: name}
	for _, v := range vals {
		a.Values = append(a.Values, pipeline.Known(v))
	}
	return a
}

// entry makes an entry of names and values.
func entry(vals ...any) pipeline.Entry {
	e := pipeline.Entry{Values: map[string]pipeline.Value{}}
	for i := 0; i < len(vals); i += 2 {
		e.Values[vals[i].(string)] = pipeline.Known(vals[i+1])
	}
	return e
}

func TestCells(t *testing.T) {
	svc, os := axis("svc", "cart", "web"), axis("os", "a", "b")
	many := axis("n")
	for i := range 257 {
		many.Values = append(many.Values, pipeline.Known(i))
	}
	for _, tt := range []struct {
		name   string
		matrix pipeline.Matrix
		want   string // "name{other values} …", or part of the error
	}{
		{"one axis", pipeline.Matrix{Axes: []pipeline.Axis{svc}}, "cart web"},
		{"product", pipeline.Matrix{Axes: []pipeline.Axis{svc, os}}, "cart,a cart,b web,a web,b"},
		{"exclude", pipeline.Matrix{Axes: []pipeline.Axis{svc, os}, Exclude: []pipeline.Entry{entry("svc", "cart", "os", "a"), entry("svc", "web")}}, "cart,b"},
		{"include a value", pipeline.Matrix{Axes: []pipeline.Axis{svc, os}, Include: []pipeline.Entry{entry("svc", "web", "port", 80)}}, "cart,a cart,b web,a{port: 80} web,b{port: 80}"},
		{"include for all", pipeline.Matrix{Axes: []pipeline.Axis{svc}, Include: []pipeline.Entry{entry("port", 80)}}, "cart{port: 80} web{port: 80}"},
		{"include a cell", pipeline.Matrix{Axes: []pipeline.Axis{svc, os}, Include: []pipeline.Entry{entry("svc", "db", "os", "c", "port", 1)}}, "cart,a cart,b web,a web,b db,c{port: 1}"},
		{"include alone", pipeline.Matrix{Axes: []pipeline.Axis{axis("svc")}, Include: []pipeline.Entry{entry("svc", "x", "port", 1)}}, "x{port: 1}"},
		{"empty", pipeline.Matrix{Axes: []pipeline.Axis{svc, axis("os")}}, ""},
		{"numbers", pipeline.Matrix{Axes: []pipeline.Axis{axis("go", 1, true)}}, "1 true"},
		{"max", pipeline.Matrix{Axes: []pipeline.Axis{many}, Max: 257, Exclude: []pipeline.Entry{entry("n", 0)}}, "1 2 3"},

		{"limit", pipeline.Matrix{Axes: []pipeline.Axis{many}}, "matrix has 257 cells (want at most 256; set max: in it, up to 4096)"},
		{"low limit", pipeline.Matrix{Axes: []pipeline.Axis{svc}, Max: 1}, "matrix has 2 cells (want at most 1"},
		{"incomplete", pipeline.Matrix{Axes: []pipeline.Axis{svc, os}, Include: []pipeline.Entry{entry("svc", "db")}}, "include agrees with no cell, and cannot be one: it has no os"},
		{"unused exclude", pipeline.Matrix{Axes: []pipeline.Axis{svc}, Exclude: []pipeline.Entry{entry("svc", "crat")}}, "exclude takes no cell away: none has svc: crat"},
		{"twice", pipeline.Matrix{Axes: []pipeline.Axis{axis("svc", "a", "a")}}, "matrix has the cell a twice"},
		{"comma", pipeline.Matrix{Axes: []pipeline.Axis{axis("svc", "a,b")}}, `"a,b" cannot be a value of a matrix`},
		{"list", pipeline.Matrix{Axes: []pipeline.Axis{axis("svc", []any{"a"})}}, "[a] cannot be a value of a matrix"},
		{"no list", pipeline.Matrix{Axes: []pipeline.Axis{{Name: "svc", List: pipeline.Known("a")}}}, "svc is a (want a list)"},
	} {
		cells, err := tt.matrix.Cells(pipeline.Scope{})
		if err != nil {
			if tt.want == "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
			}
			continue
		}
		var got []string
		for _, c := range cells {
			var more []string
			for _, k := range pipeline.Keys(c.Values) {
				if k != pipeline.CellFact && !slices.ContainsFunc(tt.matrix.Axes, func(a pipeline.Axis) bool { return a.Name == k }) {
					more = append(more, fmt.Sprintf("%s: %v", k, c.Values[k]))
				}
			}
			if c.Values[pipeline.CellFact] != c.Name {
				t.Errorf("%s: matrix.cell = %v, want %s", tt.name, c.Values[pipeline.CellFact], c.Name)
			}
			if got = append(got, c.Name); more != nil {
				got[len(got)-1] += "{" + strings.Join(more, ", ") + "}"
			}
		}
		if s := strings.Join(got, " "); s != tt.want && !(tt.name == "max" && len(got) == 256) {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
}

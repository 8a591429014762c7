package syntax_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
	"github.com/slipway-ci/slipway/stages/stagestest"
)

var update = flag.Bool("update", false, "write the golden files")

func parse(name string, text []byte) (*pipeline.Pipeline, error) {
	p := syntax.Parser{Kinds: stages.Kinds(stages.Tools{}), Compiler: new(expr.Compiler)}
	return p.Parse(name, text)
}

const whole = `slipway: v1
name: shop
vars:
  registry: {default: "localhost:5000/shop", env: SHOP_REGISTRY}
  token: {type: secret, env: NPM_TOKEN}
environments:
  staging: {namespace: shop-staging, vars: {registry: "localhost:5000/staging"}}
stages:
  base:
    build: &defaults {context: base}
  api:
    needs: [{stage: lint, optional: true}]
    build:
      <<: *defaults
      context: api
      contexts: {base: "${{ stages.base.image }}"}
      secrets: {npm: "${{ vars.token }}"}
      push: {repository: "${{ vars.registry }}/api", tags: ["v1", {tag: "${{ git.tag }}", if: "git.tag != ''"}]}
  lint:
    if: ci.name == ''
    timeout: 1m30s
    retries: 2
    exec: {image: "${{ stages[\"base\"].image }}", command: [/lint]}
outputs:
  api: ${{ stages.api.ref }}
`

func TestParse(t *testing.T) {
	p, err := parse("slipway.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	api := p.Stage("api")
	if len(api.Needs) != 2 || !api.Needs[0].Optional || api.Needs[0].Data || api.Needs[1].Stage != "base" || !api.Needs[1].Data {
		t.Errorf("needs of api = %+v", api.Needs)
	}
	if got := api.Outputs["ref"]; got != pipeline.String {
		t.Errorf("output ref of api = %q", got)
	}
	if _, ok := p.Stage("base").Outputs["ref"]; ok {
		t.Error("base is not pushed, yet it promises a ref")
	}
	if lint := p.Stage("lint"); lint.Policy.Retries != 2 || lint.Policy.Timeout.Seconds() != 90 || lint.If == nil {
		t.Errorf("lint = %+v", lint)
	}
	env, _ := p.Environment("staging")
	vars, err := p.Resolve(env, pipeline.Outside{Flags: map[string]string{"token": "s3cret"}})
	if err != nil {
		t.Fatal(err)
	}
	if vars["registry"] != "localhost:5000/staging" || vars["token"] != "s3cret" {
		t.Errorf("vars = %v", vars)
	}
	if got := p.Secrets(vars); len(got) != 1 || got[0] != "s3cret" {
		t.Errorf("secrets = %v", got)
	}
}

func TestExtends(t *testing.T) {
	p, err := parse("slipway.yaml", []byte(`slipway: v1
name: shop
vars: {a: 1, b: 2, hosts: {type: list, default: []}}
environments:
  production: {extends: staging, namespace: shop, protected: true, promotes: staging, vars: {b: 4}}
  staging: {extends: base, context: s, vars: {b: 3, hosts: [x]}}
  base: {namespace: base, clusterUID: u, vars: {a: 5}}
stages: {it: {build: {}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	prod, _ := p.Environment("production")
	vars, err := p.Resolve(prod, pipeline.Outside{})
	got := fmt.Sprintf("%s %s %s %t %s %v %v", prod.Namespace, prod.Context, prod.ClusterUID, prod.Protected, prod.Promotes, vars, err)
	if want := "shop s u true staging map[a:5 b:4 hosts:[x]] <nil>"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// An echo is a build that plans to say what is written of it.
type echo struct {
	stages.Build `yaml:",inline"`
}

func (e *echo) Plan(context.Context, pipeline.Scope) (pipeline.Action, error) {
	b, err := json.Marshal(e.Build)
	return pipeline.Action{Notes: []string{string(b)}}, err
}

// TestDefaults checks that stages with defaults are as those with all written out.
func TestDefaults(t *testing.T) {
	const head = "slipway: v1\nname: shop\n"
	const defaults = `defaults:
  stage: {timeout: 1m, retries: 2}
  build:
    platforms: [linux/amd64]
    args: {A: a, B: b}
    push: {repository: r.example/it, tags: [x, y]}
`
	for short, long := range map[string]string{
		"build: null":                 "timeout: 1m, retries: 2, build: {platforms: [linux/amd64], args: {A: a, B: b}, push: {repository: r.example/it, tags: [x, y]}}",
		"timeout: 2m, build: {}":      "timeout: 2m, retries: 2, build: {platforms: [linux/amd64], args: {A: a, B: b}, push: {repository: r.example/it, tags: [x, y]}}",
		"retries: null, build: {}":    "timeout: 1m, build: {platforms: [linux/amd64], args: {A: a, B: b}, push: {repository: r.example/it, tags: [x, y]}}",
		"build: {push: null}":         "timeout: 1m, retries: 2, build: {platforms: [linux/amd64], args: {A: a, B: b}}",
		"build: {push: r.example/me}": "timeout: 1m, retries: 2, build: {platforms: [linux/amd64], args: {A: a, B: b}, push: {repository: r.example/me, tags: [x, y]}}",
		"build: {platforms: [linux/arm64], args: {B: null, C: c}, push: {tags: []}}": "timeout: 1m, retries: 2, build: {platforms: [linux/arm64], args: {A: a, C: c}, push: {repository: r.example/it, tags: []}}",
	} {
		var plans [2]string
		for i, file := range []string{head + defaults + "stages: {it: {" + short + "}}\n", head + "stages: {it: {" + long + "}}\n"} {
			parser := syntax.Parser{Kinds: []pipeline.Kind{{Name: "build", New: func() pipeline.Planner { return new(echo) }}}, Compiler: new(expr.Compiler)}
			p, err := parser.Parse("slipway.yaml", []byte(file))
			if err != nil {
				t.Fatal(err)
			}
			it := p.Stage("it")
			act, err := it.Body.Plan(t.Context(), pipeline.Scope{})
			plans[i] = fmt.Sprintf("%+v %v %v %v", it.Policy, it.Outputs, act.Notes, err)
		}
		if plans[0] != plans[1] {
			t.Errorf("%s\ngot  %s\nwant %s", short, plans[0], plans[1])
		}
	}
}

// parseFiles parses the first of files, which may include the others.
func parseFiles(files map[string]string) (*pipeline.Pipeline, error) {
	p := syntax.Parser{Kinds: stages.Kinds(stages.Tools{}), Compiler: new(expr.Compiler)}
	p.Read = func(name string) ([]byte, error) {
		text, ok := files[filepath.ToSlash(name)]
		if !ok {
			return nil, errors.New("no such file")
		}
		return []byte(text), nil
	}
	return p.Parse("ci/slipway.yaml", []byte(files["ci/slipway.yaml"]))
}

const including = "slipway: v1\nname: shop\n"

func TestInclude(t *testing.T) {
	p, err := parseFiles(map[string]string{
		"ci/slipway.yaml":  including + "include: [shared.yaml, more/b.yaml]\nstages: {it: {build: {args: {A: \"${{ vars.a }}\"}, contexts: {base: \"${{ stages.b.image }}\"}}}}\n",
		"ci/shared.yaml":   "vars: {a: x}\nenvironments: {staging: {vars: {a: y}}}\ndefaults: {build: {target: all}}\n",
		"ci/more/b.yaml":   "slipway: v1\ninclude: [../shared.yaml, c.yaml]\nstages:\n  b: {build: {args: {A: \"${{ vars.c }}\"}}}\n",
		"ci/more/c.yaml":   "vars: {c: z}\noutputs: {b: \"${{ stages.b.digest }}\"}\n",
		"ci/more/not.yaml": "nothing reads this",
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range p.Vars {
		got = append(got, v.Pos.String())
	}
	for _, e := range p.Environments {
		got = append(got, e.Pos.String(), e.Vars["a"].Pos.String())
	}
	for _, st := range p.Stages {
		got = append(got, st.Pos.String())
	}
	for _, o := range p.Outputs {
		got = append(got, o.Value.Pos.String())
	}
	want := "ci/shared.yaml:1:8 ci/more/c.yaml:1:8 ci/shared.yaml:2:16 ci/shared.yaml:2:36 ci/more/b.yaml:4:3 ci/slipway.yaml:4:10 ci/more/c.yaml:2:14"
	if s := filepath.ToSlash(strings.Join(got, " ")); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestIncludeErrors(t *testing.T) {
	const stages = "stages: {it: {build: {}}}\n"
	for name, tt := range map[string]struct {
		main, other string
		want        []string
	}{
		"stage twice":       {"include: [o.yaml]\n" + stages, stages, []string{`ci/slipway.yaml:4:10: key "it" is here twice (first at ci/o.yaml:1:10)`}},
		"var twice":         {"include: [o.yaml]\nvars: {a: 1}\n" + stages, "vars: {a: 2}", []string{`ci/slipway.yaml:4:8: key "a" is here twice (first at ci/o.yaml:1:8)`}},
		"environment twice": {"include: [o.yaml]\nenvironments: {a: {}}\n" + stages, "environments: {a: {}}", []string{`ci/slipway.yaml:4:16: key "a" is here twice (first at ci/o.yaml:1:16)`}},
		"defaults twice":    {"include: [o.yaml]\ndefaults: {build: {}}\n" + stages, "defaults: {build: {}}", []string{`ci/slipway.yaml:4:12: key "build" is here twice (first at ci/o.yaml:1:12)`}},
		"circle":            {"include: [o.yaml]\n" + stages, "include: [../ci/slipway.yaml]", []string{"ci/o.yaml:1:11: files include each other in a circle: ci/slipway.yaml → ci/o.yaml → ci/slipway.yaml (remove one of these)"}},
		"itself":            {"include: [slipway.yaml]\n" + stages, "", []string{"ci/slipway.yaml:3:11: files include each other in a circle"}},
		"gone":              {"include: [gone.yaml]\n" + stages, "", []string{"ci/slipway.yaml:3:11: cannot include gone.yaml: no such file"}},
		"absolute":          {"include: [/etc/o.yaml]\n" + stages, "", []string{"/etc/o.yaml is an absolute path"}},
		"expression":        {"include: [\"${{ vars.a }}\"]\n" + stages, "", []string{"ci/slipway.yaml:3:12: no expression may stand here"}},
		"no list":           {"include: o.yaml\n" + stages, "", []string{"ci/slipway.yaml:3:10: include is text (want a list)"}},
		"name":              {"include: [o.yaml]\n" + stages, "name: other", []string{"ci/o.yaml:1:1: name belongs to the file that includes this one (remove it)"}},
		"version":           {"include: [o.yaml]\n" + stages, "slipway: v2", []string{`ci/o.yaml:1:10: slipway is "v2" (want v1)`}},
		"not YAML":          {"include: [o.yaml]\n" + stages, "a: [", []string{"ci/o.yaml:1:1: not YAML"}},
		"no section":        {"include: [o.yaml]\n" + stages, "stages: [a]", []string{"ci/o.yaml:1:9: stages is a list (want a mapping)"}},
		"everywhere": {
			"include: [o.yaml]\n" + stages,
			"vars: {a: {typ: x}, b: {default: 1, max: 0}}\nenvironments: {e: {vars: {none: 1}}}\nstages: {a: {build: {target: \"x ${{ vars.none }}\"}}, b: {needs: [c], build: {}, matrix: {x: [a, a]}}}\ndefaults: {build: {targt: x}}\noutputs: {o: \"${{ stages.no.image }}\"}",
			[]string{"ci/o.yaml:1:12: ", "ci/o.yaml:1:17: ", "ci/o.yaml:1:34: ", "ci/o.yaml:2:33: ", "ci/o.yaml:3:42: stage a: no var is called", "ci/o.yaml:3:66: stage b: no stage is called", "ci/o.yaml:3:89: ", "ci/o.yaml:4:20: ", "ci/o.yaml:5:26: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseFiles(map[string]string{"ci/slipway.yaml": including + tt.main, "ci/o.yaml": tt.other})
			var list pipeline.ErrorList
			if !errors.As(err, &list) || len(list) != len(tt.want) {
				t.Fatalf("errors:\n%v\nwant %q", err, tt.want)
			}
			for i, want := range tt.want {
				if got := list[i].Error(); !strings.HasPrefix(got, want) && !strings.Contains(got, ": "+want) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
	if _, err := parse("x", []byte(including+"include: [o.yaml]\nstages: {it: {build: {}}}\n")); err == nil || !strings.Contains(err.Error(), "no file can be included here") {
		t.Errorf("without Read: %v", err)
	}
}

// TestSize is about what a file may cost, not about time: a large one is
// refused, a deep and a wide one are read.
func TestSize(t *testing.T) {
	if _, err := parse("x", bytes.Repeat([]byte("a: b\n"), 2<<20)); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("10 MB: %v", err)
	}
	if _, err := parse("x", []byte(strings.Repeat("[", 1000)+strings.Repeat("]", 1000))); err == nil {
		t.Error("1,000 nested lists are no pipeline")
	}
	var wide strings.Builder
	wide.WriteString("slipway: v1\nname: wide\nstages:\n")
	for i := range 3000 {
		fmt.Fprintf(&wide, "  s%d:\n    build: {context: .}\n", i)
	}
	if _, err := parse("x", []byte(wide.String())); err != nil {
		t.Error(err)
	}
}

// FuzzPlan parses and plans any bytes: that may be refused, and never ends badly.
func FuzzPlan(f *testing.F) {
	f.Add([]byte(whole))
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && len(text) < 10_000 {
			f.Add(text)
		}
	}
	name := filepath.Join(f.TempDir(), "slipway.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		parser := syntax.Parser{Kinds: stages.Kinds(new(stagestest.World).Tools()), Compiler: new(expr.Compiler)}
		p, err := parser.Parse(name, text)
		if (p == nil) == (err == nil) {
			t.Fatalf("pipeline %v, error %v", p, err)
		}
		if err != nil {
			return
		}
		vars, err := p.Resolve(pipeline.Environment{}, pipeline.Outside{})
		if err == nil {
			_, _ = new(engine.Planner).Plan(t.Context(), p, pipeline.Scope{Facts: map[string]any{"vars": vars}})
		}
	})
}

// TestBudgets is about memory: the aliases of all files together have one budget,
// and no broken file of testdata takes more than 256 MiB to be refused.
func TestBudgets(t *testing.T) {
	bomb := "x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
	for i := 1; i < 5; i++ {
		bomb += fmt.Sprintf("x%d: &x%d [%s*x%d]\n", i, i, strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 9), i-1)
	}
	main := including + "include: [a.yaml, b.yaml, c.yaml]\nstages: {it: {build: {}}}\n"
	files := map[string]string{"ci/slipway.yaml": main, "ci/a.yaml": bomb, "ci/b.yaml": "", "ci/c.yaml": ""}
	over := func() bool {
		_, err := parseFiles(files)
		var list pipeline.ErrorList
		return errors.As(err, &list) && slices.ContainsFunc(list, func(e *pipeline.Error) bool {
			return e.Code == "alias-bomb" && e.Pos.File == filepath.Join("ci", "c.yaml") && strings.Contains(e.Error(), "over all files")
		})
	}
	if over() {
		t.Error("one file with many aliases is refused")
	}
	files["ci/b.yaml"], files["ci/c.yaml"] = bomb, bomb
	if !over() {
		t.Error("three files with many aliases pass, of which two take up the budget")
	}

	broken, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(broken) < 50 {
		t.Fatal("no files", err)
	}
	for _, file := range broken {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = parse(file, text)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
			t.Errorf("%s takes %d MiB", file, got>>20)
		}
	}
}

package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit/inputs"
	"github.com/slipway-ci/slipway/docs"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
	"github.com/slipway-ci/slipway/stages/stagestest"
)

// unshown are the codes that no pipeline file alone can have, and why.
var unshown = map[string]string{
	"no-file": "the file is not there", "too-large": "4 MiB", "not-utf8": "bytes that are no text",
	"cannot-edit":   "slipway environments bind",
	"unknown-field": "a manifest", "field-type": "a manifest", "bad-field": "a manifest",
	"unknown-kind": "a manifest", "removed-api": "a manifest", "twice-in-set": "a manifest",
	"registry": "a registry that is down", "not-released": "a run", "held": "a cluster", "unchecked": "a registry that is down", "build-failed": "a Dockerfile", "failed": "a run",
	"image-pull": "a run", "crash-loop": "a run", "out-of-memory": "a run", "bad-config": "a run", "never-ready": "a run",
	"unscheduled": "a run", "no-pods": "a run", "job-failed": "a run", "deadline": "a run", "stalled": "a run",
	"overwritten": "a run", "wrong-digest": "a run", "unproven": "a run",
}

// TestExplained checks, of every code that is explained, that its wrong example
// has that mistake and no other, and that its right one has none.
func TestExplained(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Dockerfile": "FROM scratch\nCOPY . /\n", "web/Dockerfile": "FROM scratch\nCOPY . /\n", "api/Dockerfile": "FROM scratch\nCOPY . /\n",
		"ci/web.yaml": "stages: {web: {build: {context: web}}}\n", "ci/named.yaml": "name: web\n",
		"deploy/kustomization.yaml": "resources: [web.yaml]\n", "broken/kustomization.yaml": "resources: [gone.yaml]\n",
		"deploy/web.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers: [{name: web, image: ghcr.io/acme/web}]\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range docs.Codes() {
		t.Run(c.Name, func(t *testing.T) {
			if c.Text == "" || c.Short() == "" {
				t.Error("no text")
			}
			if reason := unshown[c.Name]; reason != "" {
				if c.Wrong+c.Right != "" {
					t.Errorf("has an example, yet only %s can show it", reason)
				}
				return
			}
			if c.Wrong == "" || c.Right == "" {
				t.Fatal("no examples")
			}
			wrong := c.Wrong
			if !c.Whole {
				wrong = whole(wrong)
			}
			if got := codesOf(checked(t, dir, wrong)); !slices.Equal(got, []string{c.Name}) {
				t.Errorf("the wrong example has %q: %v", got, checked(t, dir, wrong))
			}
			if err := checked(t, dir, whole(c.Right)); err != nil {
				t.Errorf("the right example: %v", err)
			}
		})
	}
}

// checked parses and plans a pipeline file in dir.
func checked(t *testing.T, dir, text string) error {
	world := &stagestest.World{Images: map[string]string{"docker.io/library/busybox": "sha256:" + strings.Repeat("1", 64)}}
	tools := world.Tools()
	tools.Renderer = new(renderer)
	tools.Inputs = new(inputs.Reader)
	parser := syntax.Parser{Kinds: stages.Kinds(tools), Compiler: new(expr.Compiler), Read: os.ReadFile}
	p, err := parser.Parse(filepath.Join(dir, "slipway.yaml"), []byte(text))
	if err != nil {
		return err
	}
	var env pipeline.Environment
	if len(p.Environments) > 0 {
		env = p.Environments[0]
	}
	vars, err := p.Resolve(env, pipeline.Outside{})
	if err != nil {
		return err
	}
	plan, err := new(engine.Planner).Plan(t.Context(), p, pipeline.Scope{Environment: env, Facts: map[string]any{
		"vars": vars, "environment": map[string]any{"name": env.Name},
		"git": map[string]any{"sha": "5294b33", "branch": "main", "epoch": 1, "dirty": false}, "ci": map[string]any{"name": ""},
	}})
	if err != nil {
		return err
	}
	return stages.CheckPins(plan)
}

// codesOf returns the codes of err, each once.
func codesOf(err error) []string {
	var list pipeline.ErrorList
	var one *pipeline.Error
	if !errors.As(err, &list) && errors.As(err, &one) {
		list = pipeline.ErrorList{one}
	}
	var codes []string
	for _, e := range list {
		codes = append(codes, e.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// TestEveryCode finds the codes in the sources, and wants each explained, and
// nothing explained that is no code.
func TestEveryCode(t *testing.T) {
	found := map[string]string{}
	for _, dir := range []string{"pipeline", "stages", "cmd/slipway"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "stagestest") {
				return err
			}
			return codesIn(path, found)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	found[failedWhilePlanning], found[failedWhileRunning] = "exit.go", "exit.go"
	verdicts, err := codeConstants("../../deploy/verdict.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		found[v] = "deploy"
	}
	manifests, err := codeConstants("../../deploy/schema/validate.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifests {
		found[m] = "deploy/schema"
	}
	for _, good := range []string{"proven", "ready", "nothing-runs", "applied", "waiting"} {
		delete(found, good) // verdicts that are no errors
	}
	var known []string
	for _, c := range docs.Codes() {
		known = append(known, c.Name)
		if found[c.Name] == "" {
			t.Errorf("%s is explained, but no source has it", c.Name)
		}
	}
	for _, code := range pipeline.Keys(found) {
		if !slices.Contains(known, code) {
			t.Errorf("%s: docs/errors.md does not explain %s", found[code], code)
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d codes were found: %q", len(found), pipeline.Keys(found))
	}
}

var codeWord = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// codesIn adds the codes that a file gives to errors: as the field Code, or as
// an argument of a function that makes them.
func codesIn(path string, found map[string]string) error {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	note := func(e ast.Expr) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		if text, err := strconv.Unquote(lit.Value); err == nil && codeWord.MatchString(text) {
			found[text] = path
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
				note(n.Value)
			}
		case *ast.CallExpr:
			name := ""
			switch fun := n.Fun.(type) {
			case *ast.Ident:
				name = fun.Name
			case *ast.SelectorExpr:
				name = fun.Sel.Name
			}
			if slices.Contains([]string{"fail", "Add", "located"}, name) {
				for i, arg := range n.Args {
					if i == 0 && len(n.Args) > 1 { // fail("field", "format")
						if lit, ok := n.Args[1].(*ast.BasicLit); ok && lit.Kind == token.STRING {
							continue
						}
					}
					note(arg)
				}
			}
		}
		return true
	})
	return nil
}

// codeConstants returns the values of the constants of type Code in a file.
func codeConstants(path string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, err
	}
	var values []string
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" {
				text, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				values = append(values, text)
			}
		}
		return true
	})
	return values, nil
}

// TestUnshown makes what no example can show: files that are not there, or no text.
func TestUnshown(t *testing.T) {
	for code, text := range map[string]string{
		"too-large": strings.Repeat("# padding\n", 1<<20), "not-utf8": "name: \xff\n",
	} {
		if _, err := parse("slipway.yaml", []byte(text)); !slices.Equal(codesOf(err), []string{code}) {
			t.Errorf("%s: got %v", code, err)
		}
	}
	a := &app{flags: flags{file: filepath.Join(t.TempDir(), "gone.yaml")}}
	if _, err := a.load(stages.Tools{}); !slices.Equal(codesOf(err), []string{"no-file"}) {
		t.Errorf("got %v", err)
	}
}

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// imports is the architecture: which packages of slipway a package may import.
// A package that is not here does not belong in the house.
var imports = map[string][]string{
	"pipeline":          {},
	"pipeline/syntax":   {"pipeline"},
	"pipeline/expr":     {"pipeline"},
	"pipeline/draft":    {"pipeline"},
	"pipeline/facts":    {"pipeline"},
	"pipeline/trace":    {"pipeline"},
	"pipeline/engine":   {"pipeline"},
	"pipeline/report":   {"pipeline"},
	"pipeline/github":   {"pipeline", "pipeline/report"},
	"pipeline/page":     {"pipeline", "pipeline/report"},
	"buildkit":          {},
	"buildkit/inputs":   {"buildkit"},
	"buildkit/transfer": {},
	"buildkit/solve":    {"buildkit", "buildkit/transfer"},
	"buildkit/embed":    {"buildkit", "buildkit/host", "buildkit/transfer"},
	"buildkit/host":     {"buildkit"},
	"buildkit/faults":   {},
	"buildkit/registry": {"buildkit"},
	"deploy":            {},
	"deploy/kustomize":  {"deploy"},
	"deploy/expr":       {},
	"deploy/schema":     {"deploy", "deploy/expr"},
	"deploy/kube":       {"deploy"},
	"deploy/probe":      {"deploy"},
	"deploy/rollout":    {"deploy", "deploy/expr", "deploy/kube"},
	"deploy/runner":     {"deploy"},
	"docs":              {},
	"bench":             {},
	"stages":            {"pipeline", "buildkit", "deploy"},
	"stages/stagestest": {"stages", "buildkit", "deploy"},
	"cmd/release":       {},
	"cmd/image":         {},
	"cmd/slipway/heap":  {},
	"cmd/slipway": {
		"pipeline", "pipeline/syntax", "pipeline/expr", "pipeline/facts", "pipeline/engine", "pipeline/report", "pipeline/github", "pipeline/page", "pipeline/trace", "pipeline/draft",
		"buildkit", "buildkit/inputs", "buildkit/solve", "buildkit/embed", "buildkit/host", "buildkit/registry",
		"deploy", "deploy/expr", "deploy/kustomize", "deploy/schema", "deploy/kube", "deploy/probe", "deploy/rollout", "deploy/runner", "stages", "docs", "cmd/slipway/heap",
	},
}

// libraries are modules that one package alone may import.
var libraries = map[string]string{
	"cel.dev/cel-go":                         "pipeline/expr deploy/expr deploy/schema",
	"gopkg.in/yaml.v3":                       "pipeline/syntax pipeline/draft deploy/kustomize",
	"github.com/google/go-containerregistry": "buildkit/registry",
	"sigs.k8s.io/kustomize":                  "deploy/kustomize",
	"k8s.io/client-go":                       "deploy/kube deploy/rollout",
	"go.opentelemetry.io":                    "pipeline/trace",
	"github.com/spf13/cobra":                 "cmd/slipway",
	"github.com/rivo/uniseg":                 "pipeline/report",
}

// eachSource calls see with each source file of this module that is no test. It reads them
// itself rather than asking "go list", so that the test cache knows which files an answer
// depends on.
func eachSource(t *testing.T, see func(name string, f *ast.File)) {
	t.Helper()
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil && name != "." {
				return fs.SkipDir // a module of its own
			}
			if name == "bench/floor" {
				return fs.SkipDir // programs that slipway is compared with, and no part of it
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err == nil {
			see(name, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImports(t *testing.T) {
	const module = "github.com/slipway-ci/slipway/"
	seen := map[string]bool{}
	eachSource(t, func(name string, f *ast.File) {
		dir := path.Dir(name)
		allowed, ok := imports[dir]
		if !ok {
			t.Errorf("%s: package is not in the table: decide what it may import", name)
		}
		seen[dir] = true
		for _, spec := range f.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			ours, ok := strings.CutPrefix(imp, module)
			if ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s: imports %s; the package may import only %q", name, ours, allowed)
			}
			third := strings.Contains(imp, ".") && !ok
			if third && !strings.Contains(dir, "/") {
				t.Errorf("%s: imports %s; words import the standard library only", name, imp)
			}
			for lib, where := range libraries {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.Contains(strings.Fields(where), dir) {
					t.Errorf("%s: imports %s, which belongs to %s alone", name, imp, where)
				}
			}
		}
	})
	for dir := range imports {
		if !seen[dir] {
			t.Errorf("the table has %s, which has no sources", dir)
		}
	}
}

// TestPatternsWait looks for regular expressions that every start would compile: all of
// ours together were a seventh of what a start costs, and a command needs a few of them.
func TestPatternsWait(t *testing.T) {
	eachSource(t, func(name string, f *ast.File) {
		if strings.HasPrefix(name, "bench/") || strings.HasPrefix(name, "cmd/release/") {
			return // started seldom
		}
		for _, d := range f.Decls {
			vars, ok := d.(*ast.GenDecl)
			if !ok || vars.Tok != token.VAR {
				continue
			}
			ast.Inspect(vars, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && types.ExprString(call.Fun) == "regexp.MustCompile" {
					t.Errorf("%s: compiles a pattern before main begins (want sync.OnceValue)", name)
				}
				_, later := n.(*ast.FuncLit)
				return !later
			})
		}
	})
}

package stages_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

func builds(body string) string {
	return "slipway: v1\nname: shop\nstages:\n  web:\n    build:\n" + body
}

// notes returns what the plan says about a step.
func notes(plan *pipeline.Plan, id pipeline.ID) string {
	for _, s := range plan.Steps {
		if s.ID == id {
			return strings.Join(s.Notes, "\n")
		}
	}
	return ""
}

func TestWhy(t *testing.T) {
	f := newFixture(t, builds("      context: web\n      args: {A: a}\n      push: r.example/web\n"))
	if got := notes(f.plan(), "web"); !strings.Contains(got, "no earlier build is known") {
		t.Errorf("at first: %q", got)
	}
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	if got := notes(f.plan(), "web"); !strings.HasPrefix(got, "reuse: r.example/web holds ") {
		t.Errorf("unchanged: %q", got)
	}
	f.write("web/main.go", "package main")
	if got := notes(f.plan(), "web"); got != "build: file main.go is new" {
		t.Errorf("a new file: %q", got)
	}
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	f.write("slipway.yaml", builds("      context: web\n      args: {A: b}\n      push: r.example/web\n"))
	if got := notes(f.plan(), "web"); got != "build: arg A changed" {
		t.Errorf("another arg: %q", got)
	}
}

// TestTurn has a build give its turn away before it pushes, and one that is left out have none.
func TestTurn(t *testing.T) {
	f := newFixture(t, builds("      context: web\n      push: r.example/web\n"))
	plan := f.plan()
	step := plan.Steps[0]
	env := &pipeline.Env{Scope: plan.Scope, Turn: func() { f.world.Log = append(f.world.Log, "turn") }}
	env.Scope.Step = step.ID
	if err := step.Do(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	var did []string
	for _, line := range f.world.Log {
		verb, _, _ := strings.Cut(line, " ")
		did = append(did, verb)
	}
	if got := strings.Join(did, " "); !step.Turn || got != "build turn push" {
		t.Errorf("takes turns: %t; did %q", step.Turn, got)
	}
	if step := f.plan().Steps[0]; step.Turn {
		t.Error("a build that is left out takes a turn")
	}
}

func TestReuse(t *testing.T) {
	body := func(reuse string) string {
		return builds("      context: web\n      reuse: " + reuse + "\n      push: r.example/pr\n")
	}
	f := newFixture(t, builds("      context: web\n      push: r.example/main\n"))
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	f.write("slipway.yaml", body("{repository: r.example/main}"))
	plan := f.plan()
	if got := notes(plan, "web"); !strings.HasPrefix(got, "reuse: r.example/main holds") {
		t.Errorf("of another repository: %q", got)
	}
	f.world.Log = nil
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(f.world.Log, func(did string) bool { return strings.HasPrefix(did, "build") }) || len(f.world.Log) != 1 {
		t.Errorf("it did %q", f.world.Log)
	}
	if n := f.plan().Effects(); n != 0 {
		t.Errorf("%d effects are left", n)
	}
	f.write("slipway.yaml", body("false"))
	if got := notes(f.plan(), "web"); got != "build: reuse is off" {
		t.Errorf("off: %q", got)
	}
	f.write("slipway.yaml", body("{maxAge: 24h}"))
	if got := notes(f.plan(), "web"); !strings.Contains(got, "does not say when") {
		t.Errorf("no date: %q", got)
	}
	f.world.Now = time.Now().Add(-48 * time.Hour)
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	if got := notes(f.plan(), "web"); !strings.Contains(got, "longer ago than 24h") {
		t.Errorf("old: %q", got)
	}
	f.world.Now = time.Now()
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	if got := notes(f.plan(), "web"); !strings.HasPrefix(got, "reuse:") {
		t.Errorf("young: %q", got)
	}
}

func TestImmutable(t *testing.T) {
	f := newFixture(t, builds("      context: web\n      push: {repository: r.example/web, tags: [v1], immutable: true}\n"))
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	was := f.world.Images["r.example/web:v1"]
	f.write("web/main.go", "package main")
	_, err := f.run()
	var held *buildkit.HeldError
	if !errors.As(err, &held) || held.Ref != "r.example/web:v1" {
		t.Errorf("error: %v", err)
	}
	if f.world.Images["r.example/web:v1"] != was {
		t.Error("the tag was moved")
	}
}

func TestOutput(t *testing.T) {
	f := newFixture(t, builds("      context: web\n      output:\n        - {type: oci, path: out/web.tar}\n        - {type: folder, path: out/files}\n        - {type: docker, name: \"web:dev\"}\n"))
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(f.dir, "linked")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(filepath.Join(f.dir, "out/web.tar"))
	if err != nil || !strings.HasPrefix(string(archive), "shop/web:latest sha256:") {
		t.Errorf("archive %q, %v", archive, err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "out/files/etc/digest")); err != nil {
		t.Error(err)
	}
	if !slices.Contains(f.world.Log, "load web:dev") {
		t.Errorf("it did %q", f.world.Log)
	}
	if n := f.plan().Effects(); n != 0 {
		t.Errorf("%d effects are left:\n%s", n, text(t, f.plan()))
	}
	if err := f.world.Load(t.Context(), strings.NewReader("web:dev sha256:other")); err != nil {
		t.Fatal(err)
	}
	if n := f.plan().Effects(); n != 2 {
		t.Errorf("the name went to another image, and there are %d effects:\n%s", n, text(t, f.plan()))
	}
	if err := os.Remove(filepath.Join(f.dir, "out/web.tar")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "out/web.tar")); err != nil {
		t.Error(err)
	}
	f.write("slipway.yaml", builds("      context: web\n      output: [{type: oci, path: linked/x.tar}]\n"))
	if _, err := f.try(); err == nil {
		t.Error("a link was followed out of the folder")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside there is %v", left)
	}
}

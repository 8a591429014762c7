package stages_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
	"github.com/slipway-ci/slipway/stages/stagestest"
)

const shop = `slipway: v1
name: shop
stages:
  base:
    build: {context: base}
  api:
    build: {context: api, contexts: {base: "${{ stages.base.image }}"}}
  unit:
    exec: {image: "${{ stages.api.image }}", command: [/api, --selftest], cache: true}
  publish:
    needs: [unit]
    copy: {image: "${{ stages.api.image }}", to: {repository: r.example/api, tags: [v1]}}
  web:
    build: {context: web, contexts: {base: "${{ stages.base.image }}"}, push: {repository: r.example/web, tags: [v1]}}
  rollout:
    needs: [publish, web]
    deploy: {kustomize: deploy}
`

// A fixture is a folder with a pipeline, and a world to run it in.
type fixture struct {
	t     *testing.T
	dir   string
	world *stagestest.World
}

func newFixture(t *testing.T, file string) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), world: new(stagestest.World)}
	for _, name := range []string{"base", "api", "web"} {
		f.write(name+"/Dockerfile", "FROM base\n")
	}
	f.write("deploy/api.image", "r.example/api:main")
	f.write("deploy/web.image", "r.example/web")
	f.write("slipway.yaml", file)
	return f
}

func (f *fixture) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) try() (*pipeline.Plan, error) {
	f.t.Helper()
	name := filepath.Join(f.dir, "slipway.yaml")
	text, err := os.ReadFile(name)
	if err != nil {
		f.t.Fatal(err)
	}
	parser := syntax.Parser{Kinds: stages.Kinds(f.world.Tools()), Compiler: new(expr.Compiler)}
	p, err := parser.Parse(name, text)
	if err != nil {
		return nil, err
	}
	vars, err := p.Resolve(pipeline.Environment{}, pipeline.Outside{})
	if err != nil {
		return nil, err
	}
	plan, err := new(engine.Planner).Plan(f.t.Context(), p, pipeline.Scope{Facts: map[string]any{"vars": vars}})
	if err != nil {
		return nil, err
	}
	return plan, stages.CheckPins(plan)
}

func (f *fixture) plan() *pipeline.Plan {
	f.t.Helper()
	plan, err := f.try()
	if err != nil {
		f.t.Fatal(err)
	}
	return plan
}

func (f *fixture) run() (*engine.Result, error) {
	f.t.Helper()
	return new(engine.Runner).Run(f.t.Context(), f.plan())
}

func text(t *testing.T, plan *pipeline.Plan) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.PlansJSON(&b, []*pipeline.Plan{plan}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestContract checks what every kind promises: planning is repeatable and
// changes nothing, and a second run of what has not changed has nothing to do.
func TestContract(t *testing.T) {
	f := newFixture(t, shop)
	first := text(t, f.plan())
	for range 20 {
		if again := text(t, f.plan()); again != first {
			t.Fatalf("planning twice differs:\n%s\n%s", first, again)
		}
	}
	if len(f.world.Log) != 0 {
		t.Fatalf("planning changed the world: %q", f.world.Log)
	}
	res, err := f.run()
	if err != nil {
		t.Fatal(err)
	}
	if exec, push := slices.Index(f.world.Log, "exec /api --selftest"), slices.Index(f.world.Log, "push r.example/api"); exec < 0 || push < exec {
		t.Errorf("the image was not tested before it was pushed: %q", f.world.Log)
	}
	for _, s := range res.Steps {
		if s.Status != pipeline.StatusOK {
			t.Errorf("%s = %s", s.ID, s.Status)
		}
	}
	done := len(f.world.Log)
	if n := f.plan().Effects(); n != 0 {
		t.Errorf("after a run, %d effects are left:\n%s", n, text(t, f.plan()))
	}
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	if log := f.world.Log[done:]; len(log) != 0 {
		t.Errorf("a second run changed the world: %q", log)
	}
}

// TestEdit checks that a touched file changes the stage that has it, what is
// built on it, and nothing else.
func TestEdit(t *testing.T) {
	entries := func(plan *pipeline.Plan) map[string]string {
		m := map[string]string{}
		for _, s := range plan.Steps {
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			m[string(s.ID)] = string(b)
		}
		return m
	}
	for _, tt := range []struct {
		file string
		want []string
	}{
		{"web/new", []string{"web"}},
		{"api/new", []string{"api", "publish"}},
		{"base/new", []string{"api", "base", "publish", "web"}},
	} {
		f := newFixture(t, shop)
		before := entries(f.plan())
		f.write(tt.file, "x")
		var changed []string
		for id, e := range entries(f.plan()) {
			if e != before[id] {
				changed = append(changed, id)
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, tt.want) {
			t.Errorf("%s: changed %q, want %q", tt.file, changed, tt.want)
		}
	}
}

const matrix = `slipway: v1
name: shop
vars: {services: {type: list, default: [api, web]}}
stages:
  svc:
    matrix: {svc: "${{ vars.services }}", include: [{svc: api, target: slim}, {svc: web, target: full}]}
    build: {context: "${{ matrix.svc }}", target: "${{ matrix.target }}"}
  unit:
    matrix: {svc: "${{ vars.services }}"}
    if: matrix.svc != 'web'
    exec: {image: "${{ stages.svc[matrix.svc].image }}", command: ["/${{ matrix.svc }}"], cache: true}
  publish:
    matrix: {svc: "${{ vars.services }}"}
    needs: [{stage: unit, cell: "${{ matrix.svc }}", optional: true}]
    copy: {image: "${{ stages.svc[matrix.svc].image }}", to: "r.example/${{ matrix.svc }}"}
  rollout:
    needs: [publish]
    deploy: {kustomize: deploy}
outputs:
  refs: "${{ stages.publish.map(c, stages.publish[c].ref).join(' ') }}"
  web: "web is ${{ stages.publish['web'].ref }}"
`

// TestMatrix builds, tests and publishes two services with one set of stages.
func TestMatrix(t *testing.T) {
	f := newFixture(t, matrix)
	plan, err := f.try()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := report.Plan(&got, plan); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"plan for shop: 4 stages, ",
		"\nunit[api] (exec) after svc[api]: 1 change\n  run       image of svc[api]  /api\n",
		"\nunit[web] (exec) after svc[web]: skip, its if is false\n",
		"\npublish[web] (copy) after svc[web], unit[web]: ",
		"\nrollout (deploy) after publish: ",
		"\noutput refs = (known after publish)",
		"\noutput web = web is (known after publish[web])",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("plan has no %q:\n%s", want, &got)
		}
	}
	if js := text(t, plan); !strings.Contains(js, `"cell": "api"`) || !strings.Contains(js, `"id": "svc[api]"`) {
		t.Errorf("JSON has no cells:\n%s", js)
	}
	res, err := f.run()
	if err != nil {
		t.Fatal(err)
	}
	for id, v := range f.world.Images {
		if !strings.HasPrefix(id, "r.example/api") && !strings.HasPrefix(id, "r.example/web") {
			t.Errorf("pushed %s = %s", id, v)
		}
	}
	refs, err := plan.Outputs["refs"].Text(res.Scope)
	if err != nil || !strings.HasPrefix(refs, "r.example/api@sha256:") || !strings.Contains(refs, " r.example/web@sha256:") {
		t.Errorf("refs = %q, %v", refs, err)
	}
	if n := f.plan().Effects(); n != 0 {
		t.Errorf("after a run, %d effects are left:\n%s", n, text(t, f.plan()))
	}
}

// TestMatrixDeploy checks that each cell is a deployment of its own, whose name no
// stage can have.
func TestMatrixDeploy(t *testing.T) {
	const file = `slipway: v1
name: shop
stages:
  rollout:
    matrix: {ring: [VALUE]}
    deploy: {kustomize: deploy, namespace: "ns-${{ matrix.cell.slug() }}"NAME}
`
	for _, tt := range []struct{ value, name, want string }{
		{"one", "", ""},
		{"One/x", "", `stage rollout[One/x]: "One/x" cannot be part of a deployment's name (give each cell a name:, made of values of matrix)`},
		{"One/x", `, name: "r-${{ matrix.ring.slug() }}"`, ""},
	} {
		f := newFixture(t, strings.NewReplacer("VALUE", tt.value, "NAME", tt.name).Replace(file))
		plan, err := f.try()
		if got := ""; err != nil {
			if got = err.Error(); tt.want == "" || !strings.HasSuffix(got, tt.want) {
				t.Errorf("%s: %s, want %s", tt.value, got, tt.want)
			}
			continue
		}
		if tt.want != "" || len(plan.Steps) != 1 {
			t.Errorf("%s: %d steps, want the error %s", tt.value, len(plan.Steps), tt.want)
		}
	}
}

// TestLazy checks that after an edit only what has to run does.
func TestLazy(t *testing.T) {
	f := newFixture(t, shop)
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	done := len(f.world.Log)
	f.write("web/new", "x")
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	want := []string{"build base", "build web", "push r.example/web", "configure Deployment shop/web"}
	if got := f.world.Log[done:]; !slices.Equal(got, want) {
		t.Errorf("changes = %q, want %q", got, want)
	}
}

func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name    string
		world   *stagestest.World
		failed  string
		skipped []string
	}{
		{"build", &stagestest.World{FailBuild: broken}, "base", []string{"api", "unit", "web", "publish", "rollout"}},
		{"exec", &stagestest.World{FailExec: broken}, "unit", []string{"publish", "rollout"}},
		{"digest", &stagestest.World{Runs: "sha256:other"}, "rollout", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, shop)
			f.world = tt.world
			res, err := f.run()
			if err == nil {
				t.Fatal("no error")
			}
			for _, s := range res.Steps {
				want := pipeline.StatusOK
				switch {
				case string(s.ID) == tt.failed:
					want = pipeline.StatusFailed
				case slices.Contains(tt.skipped, string(s.ID)):
					want = pipeline.StatusSkipped
				}
				if s.Status != want {
					t.Errorf("%s = %s, want %s", s.ID, s.Status, want)
				}
			}
		})
	}
}

// TestOffline checks that a plan is made without registry and cluster, and that
// it says what it could not find out.
func TestOffline(t *testing.T) {
	f := newFixture(t, shop)
	f.world.RegistryDown, f.world.ClusterDown = true, true
	plan := f.plan()
	err := plan.Unchecked()
	var registry *buildkit.RegistryError
	var cluster *deploy.ClusterError
	if !errors.As(err, &registry) || !errors.As(err, &cluster) {
		t.Errorf("unchecked = %v", err)
	}
	if plan.Effects() == 0 {
		t.Error("the plan has no effects")
	}
}

func TestBadInput(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"no Dockerfile", "build: {context: deploy}", "slipway.yaml:5:22: stage it: no Dockerfile in ./deploy (set dockerfile: to its path)"},
		{"named Dockerfile", "build: {context: web, dockerfile: No}", "slipway.yaml:5:39: stage it: no Dockerfile in ./web (set dockerfile: to its path)"},
		{"no kustomization", "deploy: {kustomize: web}", "slipway.yaml:5:25: stage it: no kustomization in web (want kustomization.yaml; set kustomize: to its folder)"},
		{"bad repository", "build: {context: web, push: r.example/web:v1}", `slipway.yaml:5:33: stage it: "r.example/web:v1" is no repository (want one such as ghcr.io/acme/web, without a tag)`},
		{"bad tag", "build: {context: web, push: {repository: r.example/web, tags: [feature/x]}}", `slipway.yaml:5:68: stage it: "feature/x" is no tag (want letters, digits, _ . and -; ${{ git.slug }} makes one of a branch)`},
		{"not pushed", "deploy: {kustomize: deploy, images: {r.example/web: \"${{ stages.built.image }}\"}}", "slipway.yaml:5:57: stage it: this image is in no registry, so no node can pull it (give its stage push:, or copy it to a repository)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "slipway: v1\nname: shop\nstages:\n  it:\n    "+tt.file+"\n  built:\n    build: {context: web}\n")
			_, err := f.try()
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.TrimPrefix(err.Error(), f.dir+"/"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestMissingNeed checks that a deploy does not take the image of an earlier
// run because nobody said that the build comes first.
func TestMissingNeed(t *testing.T) {
	f := newFixture(t, strings.Replace(shop, "    needs: [publish, web]\n", "    needs: [publish]\n", 1))
	_, err := f.try()
	if err == nil || !strings.Contains(err.Error(), "add needs: [web]") {
		t.Errorf("error = %v", err)
	}
}

func readFile(dir, name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) }

func remove(dir, name string) error { return os.Remove(filepath.Join(dir, name)) }

// sameWords reports whether two texts have the same words, in any order.
func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

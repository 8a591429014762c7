package stages_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
	"github.com/slipway-ci/slipway/stages/stagestest"
)

// released runs f and returns its release, as another machine reads it.
func (f *fixture) released() *pipeline.Release {
	f.t.Helper()
	res, err := f.run()
	if err != nil {
		f.t.Fatal(err)
	}
	var text bytes.Buffer
	rel := &pipeline.Release{Version: pipeline.ReleaseVersion, ID: "r1", Pipeline: "shop", Status: res.Status, Steps: res.Steps}
	if err := report.ReleaseJSON(&text, rel); err != nil {
		f.t.Fatal(err)
	}
	got, err := pipeline.ReadRelease(text.Bytes())
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

// elsewhere is the same folder on a machine whose builder is empty; the registry
// is the same, the cluster another.
func (f *fixture) elsewhere() *fixture {
	return &fixture{t: f.t, dir: f.dir, world: &stagestest.World{Images: f.world.Images}}
}

// from plans f with planner.
func (f *fixture) from(planner engine.Planner) (*pipeline.Plan, error) {
	f.t.Helper()
	text, err := readFile(f.dir, "slipway.yaml")
	if err != nil {
		f.t.Fatal(err)
	}
	parser := syntax.Parser{Kinds: stages.Kinds(f.world.Tools()), Compiler: new(expr.Compiler)}
	p, err := parser.Parse(f.dir+"/slipway.yaml", text)
	if err != nil {
		f.t.Fatal(err)
	}
	sc := pipeline.Scope{Environment: pipeline.Environment{Name: "production"}}
	return planner.Plan(f.t.Context(), p, sc)
}

// TestTake checks that a release goes to another machine and cluster as it is:
// same digests, nothing built, nothing run in a builder, nothing pushed.
func TestTake(t *testing.T) {
	f := newFixture(t, shop)
	rel := f.released()
	there := f.elsewhere()
	plan, err := there.from(engine.Planner{From: rel, Promotes: "staging"})
	if err != nil {
		t.Fatal(err)
	}
	res, err := new(engine.Runner).Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range res.Steps {
		want := pipeline.StatusReused
		if s.ID == "rollout" {
			want = pipeline.StatusOK
		}
		if s.Status != want {
			t.Errorf("%s = %s, want %s", s.ID, s.Status, want)
		}
		if s.ID == "web" || s.ID == "publish" {
			if got, kept := s.Outputs["image"], rel.Step(s.ID).Outputs["image"]; got.(pipeline.ImageRef).Ref() != kept.(pipeline.ImageRef).Ref() {
				t.Errorf("%s: image %v, want %v", s.ID, got, kept)
			}
		}
	}
	for _, did := range there.world.Log {
		if !strings.HasPrefix(did, "create Deployment") {
			t.Errorf("it did %q", did)
		}
	}
	if len(there.world.Objects) != 2 {
		t.Errorf("the cluster has %v", there.world.Objects)
	}
}

// TestTakeLost checks that an image which the registry lost stops the run, by name.
func TestTakeLost(t *testing.T) {
	f := newFixture(t, shop)
	rel := f.released()
	ref := rel.Step("web").Outputs["image"].(pipeline.ImageRef)
	delete(f.world.Images, ref.Repository+"@"+ref.Digest)
	_, err := f.elsewhere().from(engine.Planner{From: rel})
	var stale *pipeline.StaleError
	if !errors.As(err, &stale) || !strings.Contains(err.Error(), ref.Repository+"@"+ref.Digest) {
		t.Errorf("error = %v", err)
	}
}

// TestTakeOn checks that another repository gets a copy, and further tags are
// set, while those of the release are left where they stand now.
func TestTakeOn(t *testing.T) {
	f := newFixture(t, shop)
	rel := f.released()
	f.write("slipway.yaml", strings.NewReplacer("r.example/api", "prod.example/api", "web, tags: [v1]", "web, tags: [v1, live]").Replace(shop))
	f.write("deploy/api.image", "prod.example/api")
	f.world.Images["r.example/web:v1"] = "sha256:newer"
	there := f.elsewhere()
	for _, effects := range []int{5, 0} { // copy and tag, tag, two Deployments; and then nothing
		plan, err := there.from(engine.Planner{From: rel, Promotes: "staging"})
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Effects(); got != effects {
			t.Errorf("%d effects, want %d:\n%s", got, effects, text(t, plan))
		}
		if _, err := new(engine.Runner).Run(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
	}
	want := rel.Step("publish").Outputs["image"].(pipeline.ImageRef).Digest
	for ref, digest := range map[string]string{"prod.example/api:v1": want, "r.example/web:live": rel.Step("web").Outputs["digest"].(string), "r.example/web:v1": "sha256:newer"} {
		if got := there.world.Images[ref]; got != digest {
			t.Errorf("%s is %s, want %s", ref, got, digest)
		}
	}
	if slices.ContainsFunc(there.world.Log, func(s string) bool { return strings.HasPrefix(s, "build") || strings.HasPrefix(s, "exec") }) {
		t.Errorf("a builder was used: %q", there.world.Log)
	}
}

// TestTakeNotHeld checks that a stage which the release does not hold runs with
// --from, and is refused where nothing may be built.
func TestTakeNotHeld(t *testing.T) {
	f := newFixture(t, shop)
	rel := f.released()
	rel.Step("unit").Status = pipeline.StatusSkipped
	there := f.elsewhere()
	plan, err := there.from(engine.Planner{From: rel})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := new(engine.Runner).Run(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(there.world.Log, "exec /api --selftest") {
		t.Errorf("unit did not run: %q", there.world.Log)
	}
	_, err = f.elsewhere().from(engine.Planner{From: rel, Promotes: "staging"})
	var stale *pipeline.StaleError
	if !errors.As(err, &stale) || !strings.Contains(err.Error(), "stage unit: production never builds") {
		t.Errorf("error = %v", err)
	}
}

// TestTakeMissing checks that a plan can be made before there is a release, and
// no run.
func TestTakeMissing(t *testing.T) {
	f := newFixture(t, shop)
	plan, err := f.from(engine.Planner{Promotes: "staging", Missing: pipeline.Stalef("none there")})
	if err != nil {
		t.Fatal(err)
	}
	var stale *pipeline.StaleError
	if err := plan.Unchecked(); !errors.As(err, &stale) {
		t.Errorf("unchecked: %v", err)
	}
	if got := text(t, plan); strings.Contains(got, `"verb": "push"`) {
		t.Errorf("it would push:\n%s", got)
	}
}

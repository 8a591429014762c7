package stages_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/stages"
)

// restore plans going back, as the command rollback does.
func (f *fixture) restore(to int) (*pipeline.Plan, error) {
	body := &stages.Restore{Set: deploy.Set{Pipeline: "shop", Name: "rollout", Namespace: "default"}, To: to}
	st := pipeline.Stage{ID: "rollback", Kind: "rollback", Body: body.With(f.world.Tools())}
	return new(engine.Planner).Plan(f.t.Context(), &pipeline.Pipeline{Name: "shop", Dir: f.dir, Stages: []pipeline.Stage{st}}, pipeline.Scope{})
}

// back goes back, and says which digest web runs then.
func (f *fixture) back(to int) string {
	f.t.Helper()
	plan, err := f.restore(to)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := new(engine.Runner).Run(f.t.Context(), plan); err != nil {
		f.t.Fatal(err)
	}
	return digestOfWeb(f.world)
}

// release makes a new revision of web and returns its digest.
func (f *fixture) release(words string) string {
	f.t.Helper()
	f.write("web/Dockerfile", "FROM base\nRUN "+words+"\n")
	if _, err := f.run(); err != nil {
		f.t.Fatal(err)
	}
	return digestOfWeb(f.world)
}

func TestRestore(t *testing.T) {
	f := newFixture(t, shop)
	one, two, three := f.release("one"), f.release("two"), f.release("three")
	if got := f.back(0); got != two {
		t.Errorf("the last proven: got %s, want %s", got, two)
	}
	if got := f.back(0); got != one { // three failed nobody, but two runs: the one before is meant
		t.Errorf("once more: got %s, want %s", got, one)
	}
	if got := f.back(3); got != three {
		t.Errorf("to 3: got %s, want %s", got, three)
	}
	if found := revisions(t, f.world); len(found) != 6 || found[0].Restores != 3 || found[1].Restores != 1 {
		t.Errorf("got %+v", found)
	}
	written := len(f.world.Log)
	plan, err := f.restore(1)
	if err != nil || plan.Effects() != 1 || len(f.world.Log) != written {
		t.Errorf("a preview: got %d effects and %q, %v", plan.Effects(), f.world.Log[written:], err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	f := newFixture(t, shop)
	none := func(to int, want string) {
		t.Helper()
		_, err := f.restore(to)
		var refused *stages.NoRevisionError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	none(0, "no revision is remembered")
	one := f.release("one")
	none(0, "no other revision before 1 was proven")
	f.release("two")
	none(7, "revision 7 is not remembered (there are 2, 1)")
	if _, err := f.restore(0); err != nil {
		t.Error(err)
	}
	for ref, digest := range f.world.Images {
		if digest == one {
			delete(f.world.Images, ref)
		}
	}
	none(0, "the registry no longer has r.example/web@"+one)
}

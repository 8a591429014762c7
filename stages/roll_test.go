package stages_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/stages/stagestest"
)

var rollingBack = strings.Replace(shop, "deploy: {kustomize: deploy}", "deploy: {kustomize: deploy, onFailure: rollback}", 1)

func revisions(t *testing.T, w *stagestest.World) []deploy.Revision {
	t.Helper()
	found, err := w.Tools().Keeper.Revisions(t.Context(), deploy.Set{Pipeline: "shop", Name: "rollout"})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// digestOfWeb returns what web runs in the cluster.
func digestOfWeb(w *stagestest.World) string {
	for _, c := range deploy.Containers(w.Objects["Deployment shop/web"]) {
		_, digest, _ := strings.Cut(c.Image(), "@")
		return digest
	}
	return ""
}

// next returns the digest that web would have with another Dockerfile.
func next(t *testing.T, file string) string {
	f := newFixture(t, file)
	f.write("web/Dockerfile", "FROM base\nRUN broken\n")
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	return digestOfWeb(f.world)
}

func TestRollsBack(t *testing.T) {
	bad := next(t, shop)
	for _, row := range []struct {
		name, file string
		first      bool // the broken one is the first
		healthy    bool
		back       bool
	}{
		{"healthy", rollingBack, false, true, false},
		{"broken", rollingBack, false, false, true},
		{"broken, leave", shop, false, false, false},
		{"the first is broken", rollingBack, true, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, row.file)
			if !row.first {
				if _, err := f.run(); err != nil {
					t.Fatal(err)
				}
			}
			good := digestOfWeb(f.world)
			f.write("web/Dockerfile", "FROM base\nRUN broken\n")
			if !row.healthy {
				f.world.Breaks = bad
			}
			_, err := f.run()
			var back *deploy.RolledBackError
			var rollout *deploy.RolloutError
			if errors.As(err, &back) != row.back || errors.As(err, &rollout) == row.healthy {
				t.Errorf("got %v", err)
			}
			if now := digestOfWeb(f.world); (now == good) != row.back || !row.back && now != bad {
				t.Errorf("web runs %s, good is %s, bad is %s", now, good, bad)
			}
			found := revisions(t, f.world)
			if row.back && (len(found) != 3 || found[0].Restores != 1 || found[0].State != deploy.StateProven || found[1].State != deploy.StateFailed || back.To != 1) {
				t.Errorf("got %+v, %v", found, back)
			}
		})
	}
}

func TestDoesNotRollBackToWhatTheRegistryLost(t *testing.T) {
	bad := next(t, shop)
	f := newFixture(t, rollingBack)
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	good := digestOfWeb(f.world)
	for ref, digest := range f.world.Images {
		if digest == good {
			delete(f.world.Images, ref)
		}
	}
	f.world.Breaks = bad
	f.write("web/Dockerfile", "FROM base\nRUN broken\n")
	_, err := f.run()
	var back *deploy.RolledBackError
	if err == nil || errors.As(err, &back) || digestOfWeb(f.world) != bad {
		t.Errorf("got %v", err)
	}
}

func TestHeldAndLocked(t *testing.T) {
	f := newFixture(t, shop)
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	held, locked := &deploy.HeldError{Deployment: "shop/rollout"}, &deploy.LockedError{Deployment: "shop/rollout"}
	f.world.Held, f.world.Locked = held, locked
	if _, err := f.run(); err != nil {
		t.Errorf("nothing changes, but: %v", err)
	}
	f.write("web/Dockerfile", "FROM base\nRUN more\n")
	if plan := text(t, f.plan()); !strings.Contains(plan, "shop/rollout is held by") {
		t.Errorf("the plan does not say that it is held:\n%s", plan)
	}
	if _, err := f.run(); !errors.Is(err, held) {
		t.Errorf("got %v", err)
	}
	f.world.Held = nil
	if _, err := f.run(); !errors.Is(err, locked) {
		t.Errorf("got %v", err)
	}
}

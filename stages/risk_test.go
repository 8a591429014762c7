package stages_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/stages"
	"github.com/slipway-ci/slipway/stages/stagestest"
)

// shrinking is a cluster that holds a volume which the manifests no longer name.
type shrinking struct{ *stagestest.World }

func (s shrinking) Diff(ctx context.Context, set deploy.Set) ([]deploy.Change, error) {
	changes, err := s.World.Diff(ctx, set)
	volume := deploy.Object{Body: map[string]any{"kind": "PersistentVolumeClaim", "metadata": map[string]any{"name": "data", "namespace": "shop"}}}
	return append(changes, deploy.Change{Op: deploy.Delete, Object: volume}), err
}

func TestHeldUntilApproved(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "web.image"), []byte("r.example/web"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, approved := range [][]deploy.Risk{nil, {deploy.DeleteVolume}} {
		world := &stagestest.World{}
		tools := world.Tools()
		tools.Cluster, tools.Approved = shrinking{world}, approved
		d := new(stages.Deploy).With(tools)
		d.Kustomize = "."
		act, err := d.Plan(t.Context(), pipeline.Scope{Step: "rollout", Dir: dir, Upstream: func() []pipeline.ID { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		plan := &pipeline.Plan{Steps: []pipeline.Step{{ID: "rollout", Action: act}}}
		var risk *deploy.RiskError
		held := errors.As(plan.Held(), &risk)
		if held != (approved == nil) {
			t.Errorf("approved %v: held by %v", approved, plan.Held())
		}
		if held && risk.Object != "PersistentVolumeClaim shop/data" {
			t.Errorf("held by %s", risk.Object)
		}
	}
}

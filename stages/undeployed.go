package stages

import (
	"context"

	"github.com/slipway-ci/slipway/pipeline"
)

// Undeployed returns the kinds of stage for a run that builds, tests and pushes,
// and leaves what needs a cluster, or comes after that, to another run, which
// starts from its release. Manifests are for that other one, too.
func Undeployed(t Tools) []pipeline.Kind {
	kinds := Kinds(t)
	for i, k := range kinds {
		made := k.New
		switch k.Name {
		case "exec":
			kinds[i].New = func() pipeline.Planner { return &builtExec{*made().(*Exec)} }
		case "render":
			kinds[i].New = func() pipeline.Planner { return &leftRender{*made().(*Render)} }
		case "deploy":
			kinds[i].New = func() pipeline.Planner { return &leftDeploy{*made().(*Deploy)} }
		case "verify":
			kinds[i].New = func() pipeline.Planner { return &leftVerify{*made().(*Verify)} }
		}
	}
	return kinds
}

// left is what is planned of a stage that another run does.
func left() (pipeline.Action, error) { return pipeline.Action{Skip: "--no-deploy"}, nil }

// builtExec is an exec that runs in no cluster.
type builtExec struct{ Exec }

// Plan runs in the builder what runs there anyway.
func (e *builtExec) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	if e.In == inCluster {
		return left()
	}
	return e.Exec.Plan(ctx, sc)
}

// leftRender writes nothing.
type leftRender struct{ Render }

// Plan skips the stage.
func (*leftRender) Plan(context.Context, pipeline.Scope) (pipeline.Action, error) { return left() }

// leftDeploy deploys nothing.
type leftDeploy struct{ Deploy }

// Plan skips the stage.
func (*leftDeploy) Plan(context.Context, pipeline.Scope) (pipeline.Action, error) { return left() }

// leftVerify asks nobody.
type leftVerify struct{ Verify }

// Plan skips the stage.
func (*leftVerify) Plan(context.Context, pipeline.Scope) (pipeline.Action, error) { return left() }

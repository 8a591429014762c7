package stages

import (
	"context"
	"fmt"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// Unpushed returns the kinds of stage for a run that hands nothing over: it
// builds and tests, and writes to no registry and no cluster. Builds stay in the
// builder; a stage that would need what is not pushed, or a cluster, is skipped.
// Its manifests are still rendered and checked.
func Unpushed(t Tools) []pipeline.Kind {
	kinds := Kinds(t)
	for i, k := range kinds {
		made := k.New
		switch k.Name {
		case "build":
			kinds[i].New = func() pipeline.Planner { return &keptBuild{*made().(*Build)} }
		case "exec":
			kinds[i].New = func() pipeline.Planner { return &keptExec{*made().(*Exec)} }
		case "copy":
			kinds[i].New = func() pipeline.Planner { return &keptCopy{*made().(*Copy)} }
		case "render":
			kinds[i].New = func() pipeline.Planner { return &keptRender{*made().(*Render)} }
		case "deploy":
			kinds[i].New = func() pipeline.Planner { return &keptDeploy{*made().(*Deploy)} }
		case "verify":
			kinds[i].New = func() pipeline.Planner { return &keptVerify{*made().(*Verify)} }
		}
	}
	return kinds
}

// nothingPushed is why stages are skipped.
const nothingPushed = "--no-push"

// keptBuild is a build whose image stays in the builder.
type keptBuild struct{ Build }

// Plan builds what the repository does not hold.
func (b *keptBuild) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	if b.Cache.Mode = "none"; b.Push == nil { // a cache is written to as a repository is
		act, err := b.Build.Plan(ctx, sc)
		act.Lazy = false // it is checked for its own sake
		return act, err
	}
	act := pipeline.Action{Builds: true}
	spec, key, err := b.spec(ctx, sc, &act)
	if err != nil {
		return act, err
	}
	var asked pipeline.Action // that the registry does not answer keeps nobody from building
	g, err := b.Push.look(ctx, b.tools.Registry, sc, key, &asked)
	if err != nil {
		return act, err
	}
	g.promise(sc.Step, &act)
	if g.there.Digest != "" {
		act.Notes = append(act.Notes, "reuse: "+g.repository+" holds "+buildkit.Short(g.there.Digest)+" for these inputs")
		act.Builds = false
		return act, nil
	}
	delete(act.Outputs, "ref") // there is none
	act.Notes = append(act.Notes, "not pushed to "+g.repository)
	act.Effects = []pipeline.Effect{b.effect(spec)}
	kept := &product{Build: &b.Build, spec: spec, key: key}
	act.Do = kept.do
	return act, nil
}

// keptExec is an exec that runs in no cluster.
type keptExec struct{ Exec }

// Plan runs in the builder what runs there anyway.
func (e *keptExec) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	if e.In == inCluster {
		return pipeline.Action{Skip: nothingPushed}, nil
	}
	return e.Exec.Plan(ctx, sc)
}

// keptCopy copies nothing.
type keptCopy struct{ Copy }

// Plan skips the stage.
func (*keptCopy) Plan(context.Context, pipeline.Scope) (pipeline.Action, error) {
	return pipeline.Action{Skip: nothingPushed}, nil
}

// keptRender writes nothing.
type keptRender struct{ Render }

// Plan renders the manifests, and skips the stage.
func (r *keptRender) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	return r.checked(ctx, r.renderer, r.validator, r.registry, sc, sc.Environment.Namespace)
}

// keptDeploy deploys nothing.
type keptDeploy struct{ Deploy }

// Plan renders the manifests, and skips the stage.
func (d *keptDeploy) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	namespace := d.Namespace
	if namespace == "" {
		namespace = sc.Environment.Namespace
	}
	return d.checked(ctx, d.renderer, d.validator, d.registry, sc, namespace)
}

// keptVerify asks nobody.
type keptVerify struct{ Verify }

// Plan skips the stage.
func (*keptVerify) Plan(context.Context, pipeline.Scope) (pipeline.Action, error) {
	return pipeline.Action{Skip: nothingPushed}, nil
}

// checked renders and checks the manifests of a stage that is skipped.
func (m *Manifests) checked(ctx context.Context, r Renderer, v Validator, reg Registry, sc pipeline.Scope, namespace string) (pipeline.Action, error) {
	act := pipeline.Action{Skip: nothingPushed}
	objs, err := m.render(ctx, r, sc)
	if err != nil {
		return act, err
	}
	var asked pipeline.Action
	if err := m.settle(ctx, reg, sc, &asked); err != nil {
		return act, err
	}
	pinned, _, err := pin(sc, objs, m.origins(sc, objs))
	if err != nil {
		return act, err
	}
	act.Notes = []string{fmt.Sprintf("rendered and checked, not applied; objects: %d", len(pinned))}
	return act, validate(ctx, v, pinned, namespace)
}

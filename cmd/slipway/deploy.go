package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/facts"
	"github.com/slipway-ci/slipway/stages"
)

// bare is a deploy without a pipeline file.
type bare struct {
	kustomize string
	images    []string
	name      string
	onFailure string
	timeout   time.Duration
	adopt     bool
	force     []string
}

func (a *app) deploy() *cobra.Command {
	var b bare
	c := &cobra.Command{
		Use:   "deploy -k DIR [--image NAME=REF@DIGEST]...",
		Short: "Roll a kustomization out and prove it, without a pipeline file",
		Long: `Deploy renders a folder, replaces the images that are named, applies the result
and stays until it can prove what runs. It is for those who keep their builds.`,
		Example: `  slipway deploy -k deploy/overlays/staging -n shop \
    --image ghcr.io/acme/web=ghcr.io/acme/web:v1@sha256:…`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runPlan(c.Context(), func(ctx context.Context, w *world) (*pipeline.Plan, error) {
				return a.bare(ctx, w, b)
			})
		},
	}
	b.flags(c)
	c.Flags().DurationVar(&b.timeout, "timeout", stages.DefaultTimeout, "how long workloads may take")
	c.Flags().StringVar(&b.onFailure, "on-failure", "leave", "what to do when the rollout fails: leave, or rollback to the last revision that was proven")
	a.clusterFlags(c)
	a.outputFlag(c, "json")
	return a.runFlags(a.registryFlags(c))
}

func (b *bare) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&b.kustomize, "kustomize", "k", "", "folder with a kustomization")
	f.StringArrayVar(&b.images, "image", nil, "what containers run: `NAME=REF@DIGEST`, where NAME is the repository in the manifests")
	f.BoolVar(&b.adopt, "adopt", false, "take over objects that Helm, Argo CD or Flux manage")
	f.StringSliceVar(&b.force, "force", nil, "`FIELDS` to take from whoever has them, such as spec.replicas")
	f.StringVar(&b.name, "name", "", "name of the deployment (default: from the working folder and DIR)")
}

// bare plans a pipeline with one stage, which is made of flags.
func (a *app) bare(ctx context.Context, w *world, b bare) (*pipeline.Plan, error) {
	if b.kustomize == "" {
		return nil, usagef("which folder? (name it with -k, or use slipway run for a pipeline file)")
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return a.bareIn(ctx, w, b, dir)
}

// bareIn is bare where the folder is seen from dir.
func (a *app) bareIn(ctx context.Context, w *world, b bare, dir string) (*pipeline.Plan, error) {
	body := &stages.Deploy{Manifests: stages.Manifests{Kustomize: b.kustomize, Images: map[string]pipeline.Value{}}, Namespace: a.flags.namespace, OnFailure: b.onFailure, Adopt: b.adopt, Force: b.force}
	if len(body.Check()) > 0 {
		return nil, usagef("--on-failure %s (want leave or rollback)", b.onFailure)
	}
	for _, im := range b.images {
		name, ref, err := image(im)
		if err != nil {
			return nil, err
		}
		body.Images[name] = pipeline.Known(ref)
	}
	st := pipeline.Stage{ID: "deploy", Kind: "deploy", Policy: pipeline.Policy{Timeout: b.timeout}, Body: flagged{body.With(w.tools)}}
	// Two kustomizations must not share an inventory: the name comes from the path.
	body.Name = b.name
	if body.Name == "" {
		path := filepath.ToSlash(filepath.Clean(b.kustomize))
		if body.Name = pipeline.Slug(path); body.Name != path {
			body.Name = fmt.Sprintf("%.40s-%x", body.Name, sha256.Sum256([]byte(path)))[:min(40, len(body.Name))+9]
		}
	}
	project := pipeline.Slug(filepath.Base(dir))
	if b.name != "" { // whoever gives a name wants it to be the same in every checkout
		project = "deploy"
	}
	p := &pipeline.Pipeline{Name: project, Dir: dir, Stages: []pipeline.Stage{st}}
	return new(engine.Planner).Plan(ctx, p, pipeline.Scope{Facts: map[string]any{"git": facts.Git(ctx, cmp.Or(a.checkout, dir), a.env), "ci": facts.CI(a.env)}})
}

// image reads NAME=REF@DIGEST.
func image(s string) (string, pipeline.ImageRef, error) {
	name, ref, ok := strings.Cut(s, "=")
	repository, digest, pinned := strings.Cut(ref, "@")
	if !ok || name == "" || !pinned || !strings.HasPrefix(digest, "sha256:") || len(digest) != len("sha256:")+64 {
		return "", pipeline.ImageRef{}, usagef("--image %s (want NAME=REPOSITORY[:TAG]@sha256:…)", s)
	}
	im := pipeline.ImageRef{Repository: repository, Digest: digest}
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		im.Repository, im.Tags = repository[:i], []string{repository[i+1:]}
	}
	return name, im, nil
}

// flagged is a body made of flags: what is wrong with a field is wrong with the
// flag of that name.
type flagged struct{ pipeline.Planner }

func (f flagged) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	act, err := f.Planner.Plan(ctx, sc)
	var field *pipeline.FieldError
	if errors.As(err, &field) {
		return act, usagef("--%s: %w", strings.Replace(field.Field, "images.", "image ", 1), field.Err)
	}
	return act, err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"k8s.io/klog/v2"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/inputs"
	"github.com/slipway-ci/slipway/buildkit/registry"
	"github.com/slipway-ci/slipway/buildkit/solve"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
	"github.com/slipway-ci/slipway/deploy/kustomize"
	"github.com/slipway-ci/slipway/deploy/probe"
	"github.com/slipway-ci/slipway/deploy/rollout"
	"github.com/slipway-ci/slipway/deploy/schema"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/stages"
)

// A world is the real builder, registry and cluster, joined. Nothing in it
// connects before it is needed. It is the only place where one meets another.
type world struct {
	state   string // the folder for the state of builds
	members []*solve.Member
	builder builder
	own     solver   // what builder is, where it is our own
	plain   []string // registries that flags name as without TLS
	close   []func() error
	images  *registry.Client
	cluster *kube.Cluster
	tools   stages.Tools
}

// world joins what the flags ask for.
func (a *app) world() *world {
	state := a.state()
	klog.SetSlogLogger(a.log()) // client-go writes to stderr otherwise
	w := &world{state: state, plain: a.flags.plainHTTP}
	a.addBuilders(w)
	w.images = &registry.Client{PlainHTTP: a.flags.plainHTTP, Content: w.builder, Patience: a.patience, Log: a.log()}
	w.cluster = &kube.Cluster{Kubeconfig: a.flags.kubeconfig, Context: a.flags.context, Namespace: a.flags.namespace, Timeout: a.flags.requestTimeout, TakeFrom: a.flags.takeFrom, Log: a.log()}
	reader := &inputs.Reader{State: filepath.Join(state, "inputs"), Resolve: func(ctx context.Context, ref string) (string, error) {
		img, err := w.images.ResolveBase(ctx, ref)
		return img.Digest, err
	}}
	for _, m := range w.members {
		m.Known = reader.Known
	}
	memory := &inputs.Memory{Dir: filepath.Join(state, "passed")}
	docker, _ := a.env("DOCKER_HOST")
	w.tools = stages.Tools{
		Inputs:    reader,
		Builder:   w.builder,
		Executor:  w.builder,
		Registry:  w.images,
		Copier:    w.images,
		Memory:    memory,
		History:   memory,
		Dater:     w.images,
		Exporter:  exporter{w.builder, w.images, &registry.Engine{Host: docker}},
		Renderer:  new(renderer),
		Validator: &schema.Validator{Version: a.flags.kubeVersion, Ask: w.cluster.Version},
		Cluster:   identified{w.cluster},
		Prober:    probe.Prober{},
		Proxy:     w.cluster,
		Jobs:      w.cluster,
		Rollout:   &rollout.Watcher{Cluster: w.cluster, Resolver: w.images, Log: a.log()},
		Keeper:    identified{w.cluster},
		Approved:  a.approved(),
		Run:       a.identity(),
	}
	if a.flags.noPush { // asking the cluster for its version would reach it
		w.tools.Validator = &schema.Validator{Version: a.flags.kubeVersion}
	}
	if a.flags.rebuild {
		w.tools.Registry = rebuilding{w.images}
	}
	return w
}

// kinds are what stages can be: with --no-push, kinds that hand nothing over, and
// with --no-deploy kinds that reach no cluster.
func (a *app) kinds(t stages.Tools) []pipeline.Kind {
	switch {
	case a.flags.noPush:
		return stages.Unpushed(t)
	case a.flags.noDeploy:
		return stages.Undeployed(t)
	case a.survey != nil:
		return a.survey.Kinds(t)
	}
	return stages.Kinds(t)
}

// Close ends what was started.
func (w *world) Close() error {
	var errs []error
	for _, end := range w.close {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// renderer joins the two halves of kustomize.
type renderer struct{ kustomize.Renderer }

// Patch implements [stages.Renderer].
func (*renderer) Patch(objs []deploy.Object, patches []deploy.Patch) ([]deploy.Object, error) {
	return kustomize.Patch(objs, patches)
}

// Encode implements [stages.Renderer].
func (*renderer) Encode(objs []deploy.Object) ([]byte, error) { return kustomize.Encode(objs) }

// exporter joins those who hand out images: the builder knows files, the client
// archives.
type exporter struct {
	builder
	images *registry.Client
	*registry.Engine
}

// Archive implements [stages.Exporter].
func (e exporter) Archive(ctx context.Context, img buildkit.Image, name string, w io.Writer) error {
	return e.images.Archive(ctx, img, name, w)
}

// rebuilding is a registry that holds no image for any inputs, so that all are
// built.
type rebuilding struct{ *registry.Client }

// Resolve implements [stages.Registry].
func (r rebuilding) Resolve(ctx context.Context, ref string) (buildkit.Image, error) {
	if strings.Contains(ref, ":"+buildkit.KeyTag("")) {
		return buildkit.Image{}, fmt.Errorf("%s: %w", ref, buildkit.ErrNotFound)
	}
	return r.Client.Resolve(ctx, ref)
}

// identified is a cluster that is written to only if it is the one that is meant.
type identified struct{ *kube.Cluster }

// Check implements [stages.Cluster].
func (c identified) Check(ctx context.Context, want string) (string, error) {
	got, err := c.Identity(ctx)
	if err != nil {
		return "", err
	}
	namespace, err := c.DefaultNamespace()
	if err != nil {
		return "", err
	}
	if got != want && want != "" {
		server, err := c.Server(ctx)
		return namespace, errors.Join(err, &deploy.ClusterError{Server: server, Doing: "identify", Err: fmt.Errorf(
			"this cluster has the UID %s, but the environment is bound to %s (use the right context, or change clusterUID)", got, want)})
	}
	return namespace, nil
}

// Lock implements [stages.Keeper].
func (c identified) Lock(ctx context.Context, set deploy.Set, planned []deploy.Change, run deploy.Run, watch func(deploy.Status), do func(context.Context, stages.Turn) error) error {
	return c.Cluster.Lock(ctx, set, planned, run, watch, func(ctx context.Context, t *kube.Turn) error { return do(ctx, t) })
}

var (
	_ stages.Cluster = identified{}
	_ stages.Keeper  = identified{}
	_ stages.Turn    = (*kube.Turn)(nil)
)

// identity returns who runs, for others to find in the cluster.
func (a *app) identity() deploy.Run {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return deploy.Run{ID: a.runID(), By: name + "@" + host, PID: os.Getpid()}
}

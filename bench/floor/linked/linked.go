// Package linked is what a program of slipway's abilities has in it: BuildKit's solver and
// caches, its Dockerfile frontend, kustomize, client-go, CEL and the registry client. Floors
// that import it are loaded and initialised as such a program is.
package linked

import (
	"runtime"

	"cel.dev/cel-go/cel"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/buildkit/cache/remotecache/gha"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/control"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/worker/base"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/kustomize/api/krusty"
)

// all are what would be called: naming them is enough for all below them to be linked.
var all = []any{
	cel.NewEnv, remote.Head, client.New, control.NewController, dockerfile.Build, base.NewWorker, gha.ResolveCacheExporterFunc,
	dynamic.NewForConfig, krusty.MakeKustomizer, (*krusty.Kustomizer).Run,
}

// Keep lets the linker drop nothing of it.
func Keep() { runtime.KeepAlive(all) }

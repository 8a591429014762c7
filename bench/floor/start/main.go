// Command start does what cannot be left out by a program with BuildKit's solver and
// caches, its Dockerfile frontend, kustomize, client-go, CEL and the registry client in
// it: it is loaded, initialises their packages, and ends. Its peak of memory and its CPU
// time are the floor of P14.
package main

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

// linked are what would be called: naming them is enough for all below them to be linked.
var linked = []any{
	cel.NewEnv, remote.Head, client.New, control.NewController, dockerfile.Build, base.NewWorker, gha.ResolveCacheExporterFunc,
	dynamic.NewForConfig, krusty.MakeKustomizer, (*krusty.Kustomizer).Run,
}

func main() { runtime.KeepAlive(linked) }

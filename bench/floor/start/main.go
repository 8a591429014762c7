// Command start does what cannot be left out by a program with BuildKit's solver, its
// Dockerfile frontend, kustomize, client-go, CEL and the registry client in it: it is
// loaded, initialises their packages, and ends. Its peak of memory and its CPU time are
// the floor of P14.
package main

import (
	"os"

	"cel.dev/cel-go/cel"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/control"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/worker/base"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/kustomize/api/krusty"
)

func main() {
	if len(os.Args) < 10 { // all of it is linked, and nothing is called
		return
	}
	_, _ = cel.NewEnv()
	_, _ = remote.Head(nil)
	_, _ = client.New(nil, "")
	_, _ = control.NewController(control.Opt{})
	_, _ = dockerfile.Build(nil, nil)
	_, _ = base.NewWorker(nil, base.WorkerOpt{})
	_, _ = dynamic.NewForConfig(nil)
	_, _ = krusty.MakeKustomizer(nil).Run(nil, "")
}

// Package stagestest has a working stand-in for the world outside slipway: a
// builder, a registry and a cluster that live in memory and remember what was
// asked of them. Tests use it instead of mocks.
//
// # Owns
//
// [World].
//
// # May touch
//
// Packages stages, buildkit and deploy, for their words and interfaces.
package stagestest

import (
	"fmt"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/stages"
)

// A World is a builder, registry, renderer and cluster in memory. The zero
// World is empty and ready to use; set Down* to break a part of it.
type World struct {
	RegistryDown bool   // nothing is found out, nothing is pushed
	ClusterDown  bool   // nothing is found out, nothing is applied
	FailBuild    error  // Build returns it
	FailExec     error  // Exec returns it
	Runs         string // digest that pods report instead of the pinned one
	Breaks       string // digest whose pods never become ready
	Held         error  // Held and Lock return it
	Locked       error  // Lock returns it

	mu      sync.Mutex
	built   map[string]bool          // digests that the builder holds
	Images  map[string]string        // pushed reference → digest
	Objects map[string]deploy.Object // what is in the cluster
	Jobs    map[string]deploy.Job    // those that succeeded in the cluster, by namespace and name
	passed  map[string]bool
	history map[string][]deploy.Revision // by deployment, the newest first
	last    map[string]buildkit.Parts
	dates   map[string]time.Time
	loaded  map[string]string // name → id
	Now     time.Time         // when images are built; zero means now
	Log     []string          // every change, in order
}

// Tools returns w as the tools of package stages.
func (w *World) Tools() stages.Tools {
	return stages.Tools{Inputs: w, Builder: w, Registry: w, Executor: w, Memory: w, History: w, Copier: w, Dater: w, Exporter: w, Renderer: w, Validator: w, Cluster: w, Rollout: w, Keeper: keeper{w}, Prober: w, Proxy: proxy{w}, Jobs: w}
}

// did notes a change of the world.
func (w *World) did(format string, args ...any) {
	w.Log = append(w.Log, fmt.Sprintf(format, args...))
}

// Package stages holds the kinds of stage slipway knows, one per file. A file
// reads top to bottom: the YAML fields, Plan, and the work. To add a kind, add
// a file and a row in [Kinds].
//
// # Owns
//
// The meaning of each kind, and the interfaces through which it reaches the
// world: [Inputs], [Builder], [History], [Registry], [Copier], [Dater], [Exporter],
// [Executor], [Memory], [Renderer], [Validator], [Cluster], [Rollout], [Keeper],
// [Jobs], [Prober], [Proxy]. Each is declared in the file that uses it.
//
// # May touch
//
// Packages pipeline, buildkit and deploy, for their words. Never a network, a
// cluster or a builder except through its interfaces.
package stages

import (
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// Tools is what stages work with. Main fills it in; tests use stagestest.
type Tools struct {
	Inputs    Inputs
	Builder   Builder
	History   History
	Registry  Registry
	Executor  Executor
	Memory    Memory
	Copier    Copier
	Dater     Dater
	Exporter  Exporter
	Renderer  Renderer
	Validator Validator
	Cluster   Cluster
	Rollout   Rollout
	Prober    Prober
	Proxy     Proxy
	Jobs      Jobs
	Keeper    Keeper
	Approved  []deploy.Risk
	Run       deploy.Run // this one, as clusters are to remember it; Commit and URL come from the scope
}

// Kinds returns the kinds of stage slipway knows, using t.
func Kinds(t Tools) []pipeline.Kind {
	return []pipeline.Kind{
		{Name: "build", Summary: "build an image from a Dockerfile, and push it", New: func() pipeline.Planner {
			return &Build{tools: t}
		}},
		{Name: "exec", Summary: "run a command in an image", New: func() pipeline.Planner {
			return new(Exec).With(t)
		}},
		{Name: "copy", Summary: "put an image into a repository", New: func() pipeline.Planner {
			return &Copy{tools: t}
		}},
		{Name: "render", Summary: "write manifests with the digests of images to a file", New: func() pipeline.Planner {
			return &Render{renderer: t.Renderer, validator: t.Validator, registry: t.Registry}
		}},
		{Name: "deploy", Summary: "render manifests, apply them and prove what runs", New: func() pipeline.Planner {
			return new(Deploy).With(t)
		}},
		{Name: "verify", Summary: "ask whether what runs does what it should", New: func() pipeline.Planner {
			return NewVerify(t)
		}},
	}
}

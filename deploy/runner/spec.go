package runner

import (
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// A Spec is what is to run in a cluster.
type Spec struct {
	Name           string   // that all objects begin with, such as shop-staging; see [MostName]
	ID             string   // that tells this run's Jobs from others; not of a Schedule
	Namespace      string   // of the deployer
	BuildNamespace string   // of the builder
	Image          string   // slipway
	PullSecret     string   // a Secret with credentials of registries, for nodes and for slipway; empty: none are needed
	EnvFrom        []string // Secrets whose keys are environment variables
	Fetch          []string // arguments of slipway that bring the tree to [Tree]
	Build          []string // arguments of the builder's slipway; none: nothing is built
	Deploy         []string // arguments of the deployer's slipway; none: nothing is deployed
	Rights         []deploy.Right
	Cache          string        // size of the claim that keeps the state of builds, such as 20Gi; empty: every build begins without
	Deadline       time.Duration // of each Job
	Keep           time.Duration // how long a Job that has ended stays
	Schedule       string        // in the format of cron; empty: it runs now, once
}

// MostName is how long a name may be, so that a Job's, which ends with an ID, is one.
const MostName = 30

// Where things are in a pod.
const (
	Tree    = "/work/tree"    // what is built and deployed
	State   = "/state/builds" // the state of builds
	Verdict = "/dev/termination-log"
)

// Container is the name of the container in which slipway runs; the one before it
// fetches the tree.
const Container = "slipway"

// Objects returns all that s needs, in the order in which it is to be made.
func (s Spec) Objects() []deploy.Object {
	objs := append(s.accounts(), s.roles()...)
	if s.Cache != "" && s.Build != nil {
		objs = append(objs, s.claim())
	}
	objs = append(objs, s.policies()...)
	if s.Build != nil {
		objs = append(objs, s.job(builder, s.BuildNamespace, s.Build))
	}
	if s.Deploy != nil {
		objs = append(objs, s.job(deployer, s.Namespace, s.Deploy))
	}
	return objs
}

// The two parts that slipway plays.
const (
	builder  = "builder"
	deployer = "deployer"
)

// labelPart is the label of pods that says which part they play.
const labelPart = "slipway.dev/part"

// labels are those of everything that s makes.
func (s Spec) labels(part string) map[string]any {
	return map[string]any{"app.kubernetes.io/managed-by": "slipway", "app.kubernetes.io/instance": s.Name, labelPart: part}
}

// object returns one with the name of a part.
func (s Spec) object(apiVersion, kind, namespace, name, part string, fields map[string]any) deploy.Object {
	meta := map[string]any{"name": name, "labels": s.labels(part)}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	body := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": meta}
	for name, v := range fields {
		body[name] = v
	}
	return deploy.Object{Body: body}
}

func texts(words ...string) []any {
	list := []any{}
	for _, w := range words {
		list = append(list, w)
	}
	return list
}

// account returns what the account of a part is called.
func (s Spec) account(part string) string { return s.Name + "-" + part }

// verb is what a part does, as its Jobs are called.
func verb(part string) string { return strings.TrimSuffix(part, "er") }

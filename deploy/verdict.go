package deploy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Code says what became of a workload. Codes are stable: programs may match them.
type Code string

// What can become of a workload. The first four are no failures.
const (
	Proven      Code = "proven"       // every ready pod of the current revision runs the pinned digests
	Ready       Code = "ready"        // ready, and nothing of it was pinned
	NothingRuns Code = "nothing-runs" // 0 replicas, or a CronJob: nothing to prove
	Applied     Code = "applied"      // an object that runs nothing

	Unproven    Code = "unproven"     // a pod is ready but reports no imageID
	WrongDigest Code = "wrong-digest" // a ready pod runs another digest than the pinned one
	ImagePull   Code = "image-pull"   // an image cannot be pulled
	CrashLoop   Code = "crash-loop"   // a container starts and dies
	OutOfMemory Code = "out-of-memory"
	BadConfig   Code = "bad-config"  // a container cannot be created: missing ConfigMap, Secret, key, volume
	NeverReady  Code = "never-ready" // containers run, but a probe says no
	Unscheduled Code = "unscheduled" // no node takes the pod
	NoPods      Code = "no-pods"     // the controller may not create pods: quota, admission, limits
	JobFailed   Code = "job-failed"
	Deadline    Code = "deadline"    // still progressing when time was up
	Stalled     Code = "stalled"     // an object that runs no pods of ours says that it failed
	Overwritten Code = "overwritten" // someone changed or deleted the object after it was applied
	Waiting     Code = "waiting"     // still progressing when another workload failed; not waited for
)

// OK reports whether c ends a rollout well.
func (c Code) OK() bool { return c == Proven || c == Ready || c == NothingRuns || c == Applied }

// A Verdict is what became of one workload, and why.
type Verdict struct {
	Object    string   `json:"object"` // its address; see [Object.String]
	Code      Code     `json:"code"`
	Ready     int      `json:"ready"` // pods of the current revision that are ready
	Want      int      `json:"want"`  // spec.replicas as the API server holds it
	Digests   []string `json:"digests,omitempty"`
	Pod       string   `json:"pod,omitempty"`       // the pod that shows the cause
	Container string   `json:"container,omitempty"` // and the container
	Cause     string   `json:"cause,omitempty"`     // what happened, in the cluster's own words where it has any
	Cure      string   `json:"cure,omitempty"`      // what usually mends it
	Log       []string `json:"log,omitempty"`       // last lines of what died; not trusted
	File      string   `json:"file,omitempty"`      // the manifest
	Line      int      `json:"line,omitempty"`      // in File, from 1
	LeftAlone bool     `json:"leftAlone,omitempty"` // this run did not change it and pinned nothing of it: it is reported and cannot fail the rollout
}

// Field returns the field of o, the object that v is about, which usually has
// to be mended: the image that cannot be pulled, the probe that says no.
func (v Verdict) Field(o Object) Path {
	field := map[Code]string{
		ImagePull: "image", WrongDigest: "image", Unproven: "image",
		OutOfMemory: "resources.limits.memory", NeverReady: "readinessProbe",
	}[v.Code]
	for _, list := range []string{"containers", "initContainers"} {
		at := PodSpec(o).To(list)
		items, _ := o.Field(at...).([]any)
		for n := range items {
			container := at.To(strconv.Itoa(n))
			if name, _ := o.Field(container.To("name")...).(string); name == v.Container && name != "" {
				return container.To(ParsePath(field)...)
			}
		}
	}
	return nil
}

// Failed reports whether v fails the rollout. A verdict without a code does not: nothing is certain yet.
func (v Verdict) Failed() bool {
	return !v.Code.OK() && !v.LeftAlone && v.Code != Waiting && v.Code != ""
}

// String returns one line for people, such as
// "web  proven  3/3 pods run sha256:…".
func (v Verdict) String() string {
	_, name, _ := strings.Cut(v.Object, "/")
	if name == "" {
		_, name, _ = strings.Cut(v.Object, " ")
	}
	switch v.Code {
	case Proven:
		return fmt.Sprintf("%s  proven  %d/%d pods run %s", name, v.Ready, v.Want, strings.Join(v.Digests, ", "))
	case Ready:
		return fmt.Sprintf("%s  ready  %d/%d pods", name, v.Ready, v.Want)
	case NothingRuns:
		return fmt.Sprintf("%s  nothing runs  %s", name, v.Cause)
	case Applied:
		return name + "  applied"
	}
	where := ""
	if v.Container != "" {
		where = "container " + v.Container + ": "
	}
	return fmt.Sprintf("%s  %s  %d/%d pods  %s%s", name, v.Code, v.Ready, v.Want, where, v.Cause)
}

// A RolloutError says that workloads did not become what they should be.
type RolloutError struct {
	Verdicts []Verdict // the failed ones, the first cause first
}

func (e *RolloutError) Error() string {
	var lines []string
	for _, v := range e.Verdicts {
		line := v.Object
		if v.Container != "" {
			line += ", container " + v.Container
		}
		line += ": " + string(v.Code) + ": " + v.Cause
		if v.Cure != "" {
			line += " (" + v.Cure + ")"
		}
		lines = append(lines, line)
		for _, l := range v.Log[max(0, len(v.Log)-lastWords):] {
			lines = append(lines, "| "+l)
		}
	}
	return strings.Join(lines, "\n")
}

// lastWords is how many lines of a log an error repeats.
const lastWords = 5

// ErrNoCluster reports that no kubeconfig names a cluster and we run in none.
var ErrNoCluster = errors.New("no cluster is configured")

// A ClusterError says that a cluster could not be reached, or forbids what is needed.
type ClusterError struct {
	Server string // URL of the API server; empty when none is configured
	Doing  string // such as "list deployments in shop"
	Err    error
}

func (e *ClusterError) Error() string {
	if e.Server == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("cluster %s: %s: %v", e.Server, e.Doing, e.Err)
}

func (e *ClusterError) Unwrap() error { return e.Err }

package rollout

import (
	"cmp"

	"github.com/slipway-ci/slipway/deploy"
)

// A workload is one object of the set that can become ready or fail to.
type workload struct {
	object    deploy.Object
	namespace string // never empty, unless the object lives in no namespace
	pins      []deploy.Pin
	changed   bool // this run created or configured it
	optional  bool // the rollout does not depend on it
	custom    bool // no kind that runs pods: rules or kstatus read its status
	terms     terms
}

// waited reports whether the rollout depends on w. What this run changed must
// become ready. What it left alone must only be proven where it pins an image
// in it, because green means that the pinned digest runs, whoever put it there.
func (w workload) waited() bool { return !w.optional && (w.changed || len(w.pins) > 0) }

// key returns the name by which w and its object in the cluster are found.
func (w workload) key() key {
	return key{kind: w.object.Kind(), namespace: w.namespace, name: w.object.Name()}
}

// verdict returns a verdict about w that has no code yet.
func (w workload) verdict() deploy.Verdict {
	return deploy.Verdict{Object: w.object.String(), File: w.object.File, Line: w.object.Line, LeftAlone: !w.waited()}
}

// workloads returns what is to be judged in set. Objects without a change were left alone.
func workloads(set deploy.Set, changes []deploy.Change) (judged []workload, err error) {
	changed := map[string]bool{}
	for _, c := range changes {
		changed[addressIn(set, c.Object)] = c.Op != deploy.Unchanged
	}
	for _, o := range set.Objects {
		if !set.Judged(o) {
			continue
		}
		r := set.Readiness(o)
		w := workload{object: o, namespace: o.Namespace(), changed: changed[addressIn(set, o)], optional: r.Need == deploy.Optional}
		if runsPods(o) {
			for _, p := range set.Pins {
				if p.Object == o.String() {
					w.pins = append(w.pins, p)
				}
			}
		} else if w.custom, err = true, w.terms.compile(r); err != nil {
			return nil, err
		}
		if w.namespace == "" && !w.custom {
			w.object = o.In(set.Namespace)
		}
		w.namespace = cmp.Or(w.namespace, set.Namespace)
		judged = append(judged, w)
	}
	return judged, nil
}

// addressIn returns the name of o within set. The set may leave out a namespace
// that the cluster's changes, and what is judged, have.
func addressIn(set deploy.Set, o deploy.Object) string {
	return o.APIVersion() + " " + o.Kind() + " " + cmp.Or(o.Namespace(), set.Namespace) + "/" + o.Name()
}

func runsPods(o deploy.Object) bool {
	_, known := kinds()[o.Kind()]
	return known && deploy.HasPodTemplate(o)
}

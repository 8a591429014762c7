package deploy

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A Readiness says of objects of a kind when they are ready, and whether a
// rollout depends on them.
type Readiness struct {
	Kind   string // such as Certificate, or Certificate.cert-manager.io
	Name   string `json:",omitempty"` // a pattern, see [path.Match]; empty: all
	Ready  string `json:",omitempty"` // a condition that holds when one is ready; empty: its status says so by convention
	Failed string `json:",omitempty"` // a condition that holds when one never will be; empty: its status says so by convention
	Need   Need   `json:",omitempty"`
}

// A Need says what a rollout has to do with an object.
type Need string

// What a rollout has to do with an object.
const (
	Required Need = "required" // it must become ready, which "" means as well
	Optional Need = "optional" // what has become of it is said in the end
	Ignore   Need = "ignore"   // nobody looks at it
)

// Fits reports whether r is about o.
func (r Readiness) Fits(o Object) bool {
	kind, group, grouped := strings.Cut(r.Kind, ".")
	named, _ := path.Match(r.Name, o.Name())
	return kind == o.Kind() && (!grouped || group == o.Group()) && (r.Name == "" || named)
}

// Check returns an error unless r makes sense in a set with these objects and pins.
func (r Readiness) Check(objs []Object, pins []Pin) error {
	fits := 0
	for _, o := range objs {
		if !r.Fits(o) {
			continue
		}
		fits++
		pinned := slices.ContainsFunc(pins, func(p Pin) bool { return p.Object == o.String() })
		switch {
		case HasPodTemplate(o) && r.Ready+r.Failed != "":
			return fmt.Errorf("%s is judged by its pods (take ready and failed away)", o)
		case pinned && (r.Need == Optional || r.Need == Ignore):
			return fmt.Errorf("%s runs an image that is pinned, and green means that it does: it cannot be %s", o, r.Need)
		}
	}
	if fits > 0 {
		return nil
	}
	if r.Name != "" {
		return fmt.Errorf("the manifests have no %s whose name fits %s", r.Kind, r.Name)
	}
	var kinds []string
	for _, o := range objs {
		kinds = append(kinds, o.Kind())
	}
	slices.Sort(kinds)
	return errors.New("the manifests have no " + r.Kind + " (only " + strings.Join(slices.Compact(kinds), ", ") + ")")
}

// Readiness returns the first rule about o, or one that says nothing.
func (s Set) Readiness(o Object) Readiness {
	for _, r := range s.Readies {
		if r.Fits(o) {
			return r
		}
	}
	return Readiness{}
}

// Judged reports whether o can become ready, or fail to: it makes pods, has a
// status that may say so, or a rule that does.
func (s Set) Judged(o Object) bool {
	r := s.Readiness(o)
	return r.Need != Ignore && (HasPodTemplate(o) || HasStatus(o) || r.Ready != "")
}

// HasStatus reports whether o may say by its status that it is ready: what a
// definition in the cluster added. Built-in kinds that run no pods are done
// when they are applied; a claim is bound when a pod uses it, and that pod tells.
func HasStatus(o Object) bool {
	return !slices.Contains([]string{
		"", "admissionregistration.k8s.io", "apps", "autoscaling", "batch", "certificates.k8s.io", "coordination.k8s.io",
		"discovery.k8s.io", "events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io",
		"policy", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
	}, o.Group())
}

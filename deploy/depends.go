package deploy

import (
	"fmt"
	"slices"
	"strings"
)

// annotationDependsOn names objects that have to be there, and ready, before
// the annotated one is applied. It is that of kpt and cli-utils:
// https://kpt.dev/reference/annotations/depends-on/
const annotationDependsOn = "config.kubernetes.io/depends-on"

// A Dependency is an object that another one waits for.
type Dependency struct{ Group, Kind, Namespace, Name string }

// String returns the dependency as the annotation has it.
func (d Dependency) String() string {
	if d.Namespace == "" {
		return d.Group + "/" + d.Kind + "/" + d.Name
	}
	return d.Group + "/namespaces/" + d.Namespace + "/" + d.Kind + "/" + d.Name
}

// DependsOn returns what o says it depends on.
func (o Object) DependsOn() ([]Dependency, error) {
	text := o.text("metadata", "annotations", annotationDependsOn)
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var all []Dependency
	for _, one := range strings.Split(text, ",") {
		parts := strings.Split(strings.TrimSpace(one), "/")
		switch {
		case slices.Contains(parts[1:], ""):
		case len(parts) == 3:
			all = append(all, Dependency{parts[0], parts[1], "", parts[2]})
			continue
		case len(parts) == 5 && parts[1] == "namespaces":
			all = append(all, Dependency{parts[0], parts[3], parts[2], parts[4]})
			continue
		}
		return nil, fmt.Errorf("%s: %q is no reference (want GROUP/namespaces/NAMESPACE/KIND/NAME, or GROUP/KIND/NAME; GROUP is empty for Service and the like)", annotationDependsOn, strings.TrimSpace(one))
	}
	return all, nil
}

// Turns returns for each of objs, which have their namespaces, when it is
// applied: what has a lower turn comes before. That is its rank, and after
// everything it depends on. The errors are *[ObjectError].
func Turns(objs []Object) (turns []int, needs [][]int, errs []error) {
	const room = 1000 // turns within a rank
	at := map[Dependency]int{}
	for i, o := range objs {
		at[Dependency{o.Group(), o.Kind(), o.Namespace(), o.Name()}] = i
	}
	turns, needs = make([]int, len(objs)), make([][]int, len(objs))
	for i, o := range objs {
		all, err := o.DependsOn()
		for _, d := range all {
			n, ok := at[d]
			if !ok {
				err = fmt.Errorf("depends on %s, which is not among what is applied with it (check the annotation %s)", d, annotationDependsOn)
				break
			}
			needs[i] = append(needs[i], n)
		}
		if err != nil {
			errs = append(errs, &ObjectError{Object: o, Err: err})
		}
	}
	const visiting = -1 << 30
	done := make([]bool, len(objs))
	var visit func(i int) bool
	visit = func(i int) bool {
		if done[i] {
			return turns[i] != visiting
		}
		done[i], turns[i] = true, visiting
		turn := objs[i].Rank() * room
		for _, n := range needs[i] {
			if !visit(n) {
				errs = append(errs, &ObjectError{Object: objs[i], Err: fmt.Errorf("depends on %s, which depends on it in turn (take one %s out)", objs[n], annotationDependsOn)})
				break
			}
			turn = max(turn, turns[n]+1)
		}
		turns[i] = turn
		return true
	}
	for i := range objs {
		visit(i)
	}
	return turns, needs, errs
}

// Autoscaled returns the addresses of what HorizontalPodAutoscalers among objs
// scale; objs have their namespaces. How many replicas these have is not for
// manifests to say.
func Autoscaled(objs []Object) map[string]bool {
	scaled := map[string]bool{}
	for _, o := range objs {
		if o.Kind() == "HorizontalPodAutoscaler" && o.Group() == "autoscaling" {
			scaled[o.text("spec", "scaleTargetRef", "kind")+" "+o.Namespace()+"/"+o.text("spec", "scaleTargetRef", "name")] = true
		}
	}
	return scaled
}

// annotationImmutable says what to do where a change is not possible because a
// field cannot be changed.
const annotationImmutable = "slipway.dev/when-immutable"

// Replaceable reports whether o may be deleted and made anew when a change of it
// is not possible otherwise, because it says "slipway.dev/when-immutable: replace".
func (o Object) Replaceable() bool {
	return o.text("metadata", "annotations", annotationImmutable) == "replace"
}

package deploy

import (
	"fmt"
	"strings"
)

// A Risk is the name of what a change loses: data for good, or that what runs
// stays available. A run begins only once it is approved.
type Risk string

// What can be lost.
const (
	DeleteNamespace Risk = "delete-namespace"
	DeleteVolume    Risk = "delete-volume"
	DeleteKind      Risk = "delete-kind"
	ReplaceWorkload Risk = "replace-workload" // its pods are gone before others come
	ChangeSelector  Risk = "change-selector"  // a Service leads to other pods
	ScaleToZero     Risk = "scale-to-zero"
	SingleReplica   Risk = "single-replica"      // an update, or a node that goes, interrupts it
	OverrideScaler  Risk = "override-autoscaler" // replicas that follow the load do not any more
	RemoveProbe     Risk = "remove-probe"        // nothing tells any more whether a container works
	DowngradeImage  Risk = "downgrade-image"
)

// Risks returns the names that there are.
func Risks() []Risk {
	return []Risk{DeleteNamespace, DeleteVolume, DeleteKind, ReplaceWorkload, ChangeSelector, ScaleToZero, SingleReplica, OverrideScaler, RemoveProbe, DowngradeImage}
}

// A RiskError says that a change loses something, and that nobody approved it.
type RiskError struct {
	Risk   Risk
	Object string // its address; see [Object.String]
	What   string // would happen, such as "would be deleted, and with it its data"
	Else   string // what to do otherwise
}

func (e *RiskError) Error() string {
	return fmt.Sprintf("%s %s (approve that with --approve %s, or %s)", e.Object, e.What, e.Risk, e.Else)
}

// Unapproved returns a *[RiskError] for each risk of changes that is not approved.
func Unapproved(changes []Change, approved []Risk) []error {
	given := map[Risk]bool{}
	for _, r := range approved {
		given[r] = true
	}
	var errs []error
	for _, c := range changes {
		for _, e := range risksOf(c) {
			if e.Object = c.Object.String(); !given[e.Risk] {
				errs = append(errs, e)
			}
		}
	}
	return errs
}

// risksOf returns the risks of one change.
func risksOf(c Change) []*RiskError {
	var found []*RiskError
	add := func(risk Risk, instead, format string, args ...any) {
		found = append(found, &RiskError{Risk: risk, What: fmt.Sprintf(format, args...), Else: instead})
	}
	live := Object{Body: c.Live}
	if c.Op == Delete || c.Op == Replace {
		if risk, lost := lost(c.Object.Kind()); risk != "" {
			add(risk, "keep the object among the manifests", "would be deleted, and with it %s", lost)
		}
	}
	if c.Op == Replace && lastingPods(c.Object) {
		add(ReplaceWorkload, "give it another name, and delete the old one later", "would be deleted and made anew, and nothing of it runs meanwhile")
	}
	if c.Op != Configure && c.Op != Replace || c.Live == nil {
		return found
	}
	if c.Object.Kind() == "Service" && c.Object.Group() == "" {
		was, is := live.Field("spec", "selector"), c.Object.Field("spec", "selector")
		if text := fmt.Sprint(is); was != nil && fmt.Sprint(was) != text {
			add(ChangeSelector, "leave its selector as it is", "would lead to other pods: those with %s instead of %s", labels(is), labels(was))
		}
	}
	was, scaled := number(live.Field("spec", "replicas"))
	is, ours := number(c.Object.Field("spec", "replicas"))
	switch scaler := scalerOf(live); {
	case !scaled || !ours || was == is || was == 0:
	case is == 0:
		add(ScaleToZero, "leave it some", "would have no replicas any more, where it has %d", was)
	case scaler != "":
		add(OverrideScaler, "leave spec.replicas out of the manifests", "would have %d replicas, where %s has scaled it to %d", is, scaler, was)
	case is == 1:
		add(SingleReplica, "leave it two", "would have one replica, where it has %d, so that an update or a lost node interrupts it", was)
	}
	before := map[string]Container{}
	for _, container := range Containers(live) {
		before[container.Name()] = container
	}
	for _, container := range Containers(c.Object) {
		old, there := before[container.Name()]
		if !there {
			continue
		}
		for _, probe := range []string{"readinessProbe", "livenessProbe", "startupProbe"} {
			if old.body[probe] != nil && container.body[probe] == nil {
				add(RemoveProbe, "keep the probe", "would lose the %s of container %s", probe, container.Name())
			}
		}
		from, to := versionIn(old.Image()), versionIn(container.Image())
		if Repository(old.Image()) == Repository(container.Image()) && to.less(from) {
			add(DowngradeImage, "deploy a later version", "would go back from %s to %s in container %s", from, to, container.Name())
		}
	}
	return found
}

// scalerOf returns the field manager that has scaled an object by its subresource, as
// autoscalers do and kubectl scale; it is empty where nobody has.
func scalerOf(live Object) string {
	entries, _ := live.Field("metadata", "managedFields").([]any)
	for _, e := range entries {
		e, _ := e.(map[string]any)
		if e["subresource"] == "scale" && (Object{Body: e}).Field("fieldsV1", "f:spec", "f:replicas") != nil {
			manager, _ := e["manager"].(string)
			return manager
		}
	}
	return ""
}

// lost returns the risk of deleting an object of a kind, and what is lost.
func lost(kind string) (risk Risk, what string) {
	switch kind {
	case "Namespace":
		return DeleteNamespace, "all that is in it"
	case "PersistentVolumeClaim", "PersistentVolume":
		return DeleteVolume, "its data"
	case "CustomResourceDefinition":
		return DeleteKind, "all objects of its kind, in every namespace"
	}
	return "", ""
}

// lastingPods reports whether the pods of o are meant to run all the time.
func lastingPods(o Object) bool { return HasPodTemplate(o) && o.Group() == "apps" }

// labels returns a selector as people write it.
func labels(selector any) string {
	pairs, _ := selector.(map[string]any)
	if len(pairs) == 0 {
		return "no labels"
	}
	return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(pairs), "map["), "]")
}

// number returns a number as JSON has it, or as YAML does.
func number(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64:
		return int64(n), true
	}
	return 0, false
}

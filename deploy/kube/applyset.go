package kube

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// The inventory of a deployment is an ApplySet (KEP-3659): a parent, which is
// a ConfigMap without data, and members that carry its id as a label. Prune
// finds members by that label, among the kinds and namespaces which the parent
// names; so the parent is written before its members, and names too much
// rather than too little.
const (
	labelApplySetID      = "applyset.kubernetes.io/id"
	labelPartOf          = "applyset.kubernetes.io/part-of"
	annotationTooling    = "applyset.kubernetes.io/tooling"
	annotationKinds      = "applyset.kubernetes.io/contains-group-kinds"
	annotationNamespaces = "applyset.kubernetes.io/additional-namespaces"

	annotationName = "slipway.dev/name" // pipeline, deployment and environment as JSON, where labels cannot hold them

	tooling = "slipway/v1"
)

// parentName returns the name of the ConfigMap that is the parent of a set.
func parentName(set deploy.Set) string {
	name := "slipway"
	for _, part := range []string{set.Pipeline, set.Name} {
		if part != "" {
			name += "." + part
		}
	}
	return objectName(name)
}

// applySetID returns the id as the KEP computes it, from the parent's address.
func applySetID(set deploy.Set) string {
	sum := sha256.Sum256([]byte(parentName(set) + "." + set.Namespace + ".ConfigMap."))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// parent returns the parent as it should be, given the one that is there: it
// lists the kinds and namespaces of both.
func parent(set deploy.Set, items []*item, live map[string]any) map[string]any {
	kinds, spaces := map[string]bool{}, map[string]bool{}
	before := deploy.Object{Body: live}
	for list, into := range map[string]map[string]bool{annotationKinds: kinds, annotationNamespaces: spaces} {
		text, _ := before.Field("metadata", "annotations", list).(string)
		for _, entry := range strings.Split(text, ",") {
			if entry != "" {
				into[entry] = true
			}
		}
	}
	for _, it := range items {
		if !it.member {
			continue
		}
		kinds[groupKind(it.object)] = true
		if ns := it.object.Namespace(); ns != "" && ns != set.Namespace {
			spaces[ns] = true
		}
	}
	annotations := map[string]any{annotationTooling: tooling, annotationKinds: joined(kinds)}
	if len(spaces) > 0 {
		annotations[annotationNamespaces] = joined(spaces)
	}
	for _, name := range []string{set.Pipeline, set.Name, set.Environment} {
		if labelValue(name) != name {
			full, _ := json.Marshal([]string{set.Pipeline, set.Name, set.Environment}) // strings only
			annotations[annotationName] = string(full)
		}
	}
	labels := map[string]any{labelApplySetID: applySetID(set)}
	for label, value := range marks(set) {
		if label != labelPartOf { // the parent is no member
			labels[label] = value
		}
	}
	return map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata":   map[string]any{"name": parentName(set), "namespace": set.Namespace, "labels": labels, "annotations": annotations},
	}
}

// ours says why a live object cannot be the parent of set, if it cannot.
func ours(set deploy.Set, live map[string]any) error {
	if live == nil {
		return nil
	}
	o := deploy.Object{Body: live}
	by, _ := o.Field("metadata", "annotations", annotationTooling).(string)
	if by == "" {
		return fmt.Errorf("it is there, but is not the inventory of %s (delete it, or name the deployment differently)", set)
	}
	if by != tooling {
		return fmt.Errorf("it is an inventory of %s, and not of %s (leave the deployment to that tool, or name this one differently)", by, tooling)
	}
	environment, _ := o.Field("metadata", "labels", LabelEnvironment).(string)
	if environment != labelValue(set.Environment) {
		return fmt.Errorf("it is the inventory of environment %q, and this is %q (give each environment its own namespace)", environment, set.Environment)
	}
	return nil
}

// groupKind returns what an ApplySet calls a kind, such as "Deployment.apps".
func groupKind(o deploy.Object) string {
	return strings.TrimSuffix(o.Kind()+"."+o.Group(), ".")
}

func joined(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), ",")
}

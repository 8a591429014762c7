package deploy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// An Object is a Kubernetes object as it should be.
type Object struct {
	Body map[string]any // as JSON has it
	File string         // the file it was rendered from, relative to the pipeline file; empty while unknown
	Line int            // where the object begins in File, from 1; zero while unknown

	Source Source `json:"-"` // where its fields stand; nil: only File and Line are known. A revision does not hold it
}

// A Source knows where fields of an object are written.
type Source interface {
	// Locate returns the file and line of what stands at path in o, or of the
	// nearest thing around it that is written somewhere.
	Locate(o Object, path Path) (file string, line int)
}

// A Path leads to a field: names of fields, and places in lists from 0.
type Path []string

// ParsePath returns the path of a text such as "spec.containers[0].image".
func ParsePath(text string) Path {
	var path Path
	if text == "" {
		return nil
	}
	for _, part := range strings.Split(text, ".") {
		name, rest, _ := strings.Cut(part, "[")
		if name != "" {
			path = append(path, name)
		}
		for rest != "" {
			var index string
			index, rest, _ = strings.Cut(rest, "]")
			path = append(path, strings.TrimPrefix(index, "["))
		}
	}
	return path
}

// String returns the path as "spec.containers[0].image".
func (p Path) String() string {
	var text strings.Builder
	for n, name := range p {
		switch _, err := strconv.Atoi(name); {
		case err == nil || strings.ContainsAny(name, "./"):
			text.WriteString("[" + name + "]")
			continue
		case n > 0:
			text.WriteString(".")
		}
		text.WriteString(name)
	}
	return text.String()
}

// To returns p and what stands below it.
func (p Path) To(below ...string) Path { return append(slices.Clip(p), below...) }

// Where returns the file and line of what stands at path, or of the nearest
// thing around it; of the object itself where nothing more is known.
func (o Object) Where(path Path) (file string, line int) {
	if o.Source != nil {
		if file, line = o.Source.Locate(o, path); file != "" {
			return file, line
		}
	}
	return o.File, o.Line
}

// APIVersion returns group and version, such as "apps/v1".
func (o Object) APIVersion() string { return o.text("apiVersion") }

// Kind returns the kind, such as "Deployment".
func (o Object) Kind() string { return o.text("kind") }

// Name returns metadata.name.
func (o Object) Name() string { return o.text("metadata", "name") }

// Namespace returns metadata.namespace; it is empty for an object that has none.
func (o Object) Namespace() string { return o.text("metadata", "namespace") }

// In returns o with metadata.namespace set. The body is copied as far as it changes.
func (o Object) In(namespace string) Object {
	meta, _ := o.Field("metadata").(map[string]any)
	meta = maps.Clone(meta)
	if meta == nil {
		meta = map[string]any{}
	}
	meta["namespace"] = namespace
	o.Body = maps.Clone(o.Body)
	o.Body["metadata"] = meta
	return o
}

// Group returns the API group, which is empty for the core group.
func (o Object) Group() string {
	group, _, found := strings.Cut(o.APIVersion(), "/")
	if !found {
		return ""
	}
	return group
}

// String returns the object's address, such as "Deployment shop/web".
func (o Object) String() string {
	return o.Kind() + " " + strings.TrimPrefix(o.Namespace()+"/"+o.Name(), "/")
}

func (o Object) text(path ...string) string {
	s, _ := o.Field(path...).(string)
	return s
}

// Field returns what stands at path, or nil. An item of a list is named by its place.
func (o Object) Field(path ...string) any {
	var v any = o.Body
	for _, p := range path {
		switch at := v.(type) {
		case map[string]any:
			v = at[p]
		case []any:
			n, err := strconv.Atoi(p)
			if err != nil || n < 0 || n >= len(at) {
				return nil
			}
			v = at[n]
		default:
			return nil
		}
	}
	return v
}

// order says which kinds come before others: a kind that is not listed comes
// after all that are config and before what sends traffic to it.
var order = map[string]int{
	"CustomResourceDefinition": 0,
	"Namespace":                1,
	"ResourceQuota":            2, "LimitRange": 2, "PriorityClass": 2, "StorageClass": 2, "RuntimeClass": 2,
	"ServiceAccount": 3, "Role": 4, "ClusterRole": 4, "RoleBinding": 5, "ClusterRoleBinding": 5,
	"ConfigMap": 6, "Secret": 6, "PersistentVolume": 7, "PersistentVolumeClaim": 8,
	"Service": 9, "NetworkPolicy": 9, "PodDisruptionBudget": 9,
	"Ingress": 21, "HTTPRoute": 21, "APIService": 21, "HorizontalPodAutoscaler": 21,
	"ValidatingWebhookConfiguration": 22, "MutatingWebhookConfiguration": 22,
	"ValidatingAdmissionPolicy": 22, "ValidatingAdmissionPolicyBinding": 22,
}

// Rank returns the step of the apply order in which o comes: what others need
// (definitions, namespaces, accounts, config) before workloads, and webhooks,
// which could refuse the rest, last. Objects of one rank don't need each other.
func (o Object) Rank() int {
	if r, ok := order[o.Kind()]; ok {
		return r
	}
	return 20
}

// Compare orders objects by rank, then by address, so that every run does the
// same things in the same order.
func Compare(a, b Object) int {
	return cmp.Or(cmp.Compare(a.Rank(), b.Rank()), cmp.Compare(a.Kind(), b.Kind()),
		cmp.Compare(a.Namespace(), b.Namespace()), cmp.Compare(a.Name(), b.Name()))
}

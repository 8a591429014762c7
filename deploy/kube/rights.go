package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-ci/slipway/deploy"
)

// Rights returns what has to be allowed so that [Cluster.Diff], [Cluster.Lock] and
// what is done in a [Turn] work with set, and with others of the same kinds in the
// same namespaces. Kinds that Kubernetes does not bring are looked up in the
// cluster, unless the set defines them; so are those that the deployment had
// before, and has to be able to delete. Neither is an error where there is no
// cluster, as long as the first is not needed.
func (c *Cluster) Rights(ctx context.Context, set deploy.Set) ([]deploy.Right, error) {
	served, err := c.servedKinds(ctx, set)
	if err != nil {
		return nil, err
	}
	inventory := []string{parentName(set)}
	rights := []deploy.Right{
		IdentityRight(),
		{Namespace: set.Namespace, Resource: "configmaps", Names: inventory, Verbs: []string{"get", "create", "patch"}},
		{Namespace: set.Namespace, Group: leases().Group, Resource: "leases", Verbs: []string{"create"}}, // it has no name before
		{Namespace: set.Namespace, Group: leases().Group, Resource: "leases", Names: inventory, Verbs: []string{"get", "update", "delete"}},
		{Namespace: set.Namespace, Resource: "secrets", Verbs: []string{"get", "list", "create", "update", "delete"}}, // revisions
	}
	spaces := map[string]bool{set.Namespace: true}
	for _, o := range set.Objects {
		if o.Namespace() != "" {
			spaces[o.Namespace()] = true
		}
	}
	for _, o := range set.Objects {
		k := served[kindRef{o.APIVersion(), o.Kind()}]
		of := deploy.Right{Group: o.Group(), Resource: k.resource.Resource, Verbs: []string{"get", "list", "create", "patch", "delete"}}
		if set.Judged(o) && !deploy.HasPodTemplate(o) || definesKind(o) { // pods are watched by who judges them
			of.Verbs = append(of.Verbs, "watch")
		}
		if k.namespaced {
			of.Namespace = cmp.Or(o.Namespace(), set.Namespace)
			for _, space := range slices.Sorted(maps.Keys(spaces)) { // where a member could be that is to go
				rights = append(rights, deploy.Right{Namespace: space, Group: of.Group, Resource: of.Resource, Verbs: []string{"list"}})
			}
		}
		rights = append(rights, of)
		if deploy.Generated(o) {
			for _, user := range templates() {
				rights = append(rights, deploy.Right{Namespace: of.Namespace, Group: user.Group, Resource: user.Resource, Verbs: []string{"list"}})
			}
		}
		rights = append(rights, grants(set, o, of.Namespace)...)
	}
	for _, at := range c.members(ctx, set) {
		rights = append(rights, deploy.Right{Namespace: at.namespace, Group: at.resource.Group, Resource: at.resource.Resource, Verbs: []string{"get", "list", "delete"}})
	}
	return deploy.JoinRights(rights), nil
}

// IdentityRight is what [Cluster.Identity] needs.
func IdentityRight() deploy.Right {
	return deploy.Right{Resource: "namespaces", Names: []string{"kube-system"}, Verbs: []string{"get"}}
}

// JobRights returns what has to be allowed so that Jobs can be run in a namespace;
// secret says that they read a Secret of their own.
func JobRights(namespace string, secret bool) []deploy.Right {
	rights := []deploy.Right{
		{Namespace: namespace, Group: "batch", Resource: "jobs", Verbs: []string{"get", "create", "delete"}},
		{Namespace: namespace, Resource: "pods", Verbs: []string{"list", "watch"}},
		{Namespace: namespace, Resource: "pods/log", Verbs: []string{"get"}},
	}
	if secret {
		rights = append(rights,
			deploy.Right{Namespace: namespace, Group: "batch", Resource: "jobs", Verbs: []string{"patch"}},
			deploy.Right{Namespace: namespace, Resource: "secrets", Verbs: []string{"create", "patch"}})
	}
	return rights
}

// AskRight returns what [Cluster.Ask] needs for a request. A URL that is not known
// yet may be that of any Service of the namespace.
func AskRight(namespace string, r deploy.Request) (deploy.Right, error) {
	verbs := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}
	verb, ok := verbs[r.Method]
	if !ok {
		verb = "get"
	}
	right := deploy.Right{Namespace: namespace, Resource: "services/proxy", Verbs: []string{verb}}
	if r.URL == "" {
		return right, nil
	}
	path, err := proxyPath(namespace, r.URL)
	if err != nil {
		return right, err
	}
	parts := strings.Split(path, "/") // /api/v1/namespaces/NAMESPACE/services/NAME/proxy…
	right.Namespace, right.Names = parts[4], []string{parts[6]}
	return right, nil
}

// servedKinds finds what serves the kinds of a set.
func (c *Cluster) servedKinds(ctx context.Context, set deploy.Set) (map[kindRef]kind, error) {
	defined, known := definitions(set.Objects), map[kindRef]kind{}
	var errs []error
	for _, o := range set.Objects {
		ref := kindRef{o.APIVersion(), o.Kind()}
		if _, done := known[ref]; done {
			continue
		}
		if own, ok := defined[ref]; ok {
			known[ref] = own
			continue
		}
		if !strings.Contains(o.Group(), ".") || strings.HasSuffix(o.Group(), ".k8s.io") && !deploy.HasStatus(o) || definesKind(o) {
			known[ref] = builtIn(ref)
			continue
		}
		resource, namespaced, err := c.Resource(ctx, ref.apiVersion, ref.kind)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: only the cluster knows what serves this kind: %w", o, err))
		}
		known[ref] = kind{resource, namespaced}
	}
	return known, errors.Join(errs...)
}

// builtIn returns what serves a kind of Kubernetes itself. Its resources are
// called as the plural of the kind is, and few live in no namespace.
func builtIn(ref kindRef) kind {
	gv, _ := schema.ParseGroupVersion(ref.apiVersion) // else it was refused when it was rendered
	plural, _ := meta.UnsafeGuessKindToResource(gv.WithKind(ref.kind))
	if ref.kind == "Endpoints" {
		plural = gv.WithResource("endpoints")
	}
	return kind{plural, !slices.Contains([]string{
		"Namespace", "Node", "PersistentVolume",
		"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "APIService", "CertificateSigningRequest", "ClusterTrustBundle",
		"StorageClass", "CSIDriver", "CSINode", "VolumeAttachment", "VolumeAttributesClass", "DeviceClass", "ResourceSlice",
		"PriorityClass", "RuntimeClass", "IngressClass", "IPAddress", "ServiceCIDR", "FlowSchema", "PriorityLevelConfiguration",
		"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
	}, ref.kind)}
}

// members returns where the deployment has members already. Of a cluster that does
// not say, there are none.
func (c *Cluster) members(ctx context.Context, set deploy.Set) []place {
	if _, err := c.connected(ctx); err != nil {
		return nil
	}
	inventory := inventoryOf(set, nil)
	if err := c.readOne(ctx, place{configMaps(), set.Namespace}, inventory); err != nil || inventory.live == nil {
		return nil
	}
	held, err := c.placesOf(ctx, set, inventory.live)
	if err != nil {
		c.log().Debug("kube", "cannot", "read the inventory of "+set.String(), "err", err)
	}
	return held
}

// grants returns what one needs to have oneself to be let write a role, which is
// all that it grants, and to bind one that is not written here.
func grants(set deploy.Set, o deploy.Object, namespace string) []deploy.Right {
	const group = "rbac.authorization.k8s.io"
	if o.Group() != group {
		return nil
	}
	if strings.HasSuffix(o.Kind(), "Binding") {
		kind, _ := o.Field("roleRef", "kind").(string)
		name, _ := o.Field("roleRef", "name").(string)
		if slices.ContainsFunc(set.Objects, func(r deploy.Object) bool { return r.Group() == group && r.Kind() == kind && r.Name() == name }) {
			return nil
		}
		return []deploy.Right{{Namespace: namespace, Group: group, Resource: strings.ToLower(kind) + "s", Names: []string{name}, Verbs: []string{"bind"}}}
	}
	var rights []deploy.Right
	rules, _ := o.Field("rules").([]any)
	for _, rule := range rules {
		rule := deploy.Object{Body: asMap(rule)}
		if rule.Field("nonResourceURLs") != nil || o.Field("aggregationRule") != nil {
			return []deploy.Right{{Namespace: namespace, Group: group, Resource: strings.ToLower(o.Kind()) + "s", Names: []string{o.Name()}, Verbs: []string{"escalate"}}}
		}
		for _, g := range words(rule.Field("apiGroups")) {
			for _, r := range words(rule.Field("resources")) {
				rights = append(rights, deploy.Right{Namespace: namespace, Group: g, Resource: r, Names: words(rule.Field("resourceNames")), Verbs: words(rule.Field("verbs"))})
			}
		}
	}
	return rights
}

func asMap(v any) map[string]any { m, _ := v.(map[string]any); return m }

// words returns the texts of a list.
func words(v any) []string {
	list, _ := v.([]any)
	var all []string
	for _, e := range list {
		if text, ok := e.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

package deploy

import "slices"

// Judged reports whether o can become ready, or fail to: it makes pods, or has a
// status that may say so.
func Judged(o Object) bool { return HasPodTemplate(o) || HasStatus(o) }

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

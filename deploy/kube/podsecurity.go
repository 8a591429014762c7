package kube

import (
	"cmp"
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodSecurity returns the level that pods of a namespace must meet:
// "privileged", "baseline" or "restricted". A namespace that says nothing
// enforces what the cluster's own configuration has, which is "privileged" by
// default. Reading it needs "get" on the namespace.
//
// See https://kubernetes.io/docs/concepts/security/pod-security-admission/.
func (c *Cluster) PodSecurity(ctx context.Context, namespace string) (string, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return "", err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	ns, err := conn.dynamic.Resource(namespaces()).Get(limited, namespace, metav1.GetOptions{})
	if err != nil {
		return "", c.failed(ctx, "read namespace "+namespace+", whose labels name its pod security level", err)
	}
	return cmp.Or(ns.GetLabels()["pod-security.kubernetes.io/enforce"], "privileged"), nil
}

package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// namespaces is the resource of Namespace.
func namespaces() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
}

// Identity returns what tells this cluster from all others: the UID of its
// kube-system namespace. A context's name, or a server's address, can come to
// mean another cluster; this cannot.
func (c *Cluster) Identity(ctx context.Context) (uid string, err error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return "", err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	ns, err := conn.dynamic.Resource(namespaces()).Get(limited, "kube-system", metav1.GetOptions{})
	if err != nil {
		return "", c.failed(ctx, "read namespace kube-system, whose uid identifies the cluster", err)
	}
	return string(ns.GetUID()), nil
}

// Version returns the cluster's version of Kubernetes, such as "v1.33.2".
func (c *Cluster) Version(ctx context.Context) (string, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return "", err
	}
	var info struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := conn.kinds.get(ctx, &info, "/version"); err != nil {
		return "", c.failed(ctx, "ask for its version", err)
	}
	return info.GitVersion, nil
}

package kube

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-ci/slipway/deploy"
)

func pods() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "pods"}
}

// Pods returns the pods of a workload, which has its namespace, by the selector
// that the server holds; those that are gone, or on their way out, are left out.
func (c *Cluster) Pods(ctx context.Context, workload deploy.Object) ([]deploy.Object, error) {
	resource, _, err := c.Resource(ctx, workload.APIVersion(), workload.Kind())
	if err != nil {
		return nil, err
	}
	it := &item{object: workload, kind: kind{resource: resource}}
	if err := c.readOne(ctx, place{resource, workload.Namespace()}, it); err != nil || it.live == nil {
		return nil, err
	}
	live := deploy.Object{Body: it.live}
	if workload.Kind() == "Pod" {
		return []deploy.Object{live}, nil
	}
	matching, _ := live.Field("spec", "selector", "matchLabels").(map[string]any)
	if len(matching) == 0 { // a CronJob, or a selector of expressions only
		return nil, nil
	}
	set := labels.Set{}
	for name, value := range matching {
		set[name], _ = value.(string)
	}
	var found []deploy.Object
	err = c.readAll(ctx, place{pods(), workload.Namespace()}, set.String(), func(pod map[string]any) {
		if !deleting(pod) {
			found = append(found, deploy.Object{Body: pod})
		}
	})
	slices.SortFunc(found, func(a, b deploy.Object) int { return strings.Compare(a.Name(), b.Name()) })
	return found, err
}

// Owners returns an object and what controls it, in turn: a pod, its
// ReplicaSet, its Deployment. It ends where the server has no controller, or
// does not know its kind.
func (c *Cluster) Owners(ctx context.Context, namespace, name string) ([]deploy.Object, error) {
	if _, err := c.connected(ctx); err != nil {
		return nil, err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	live, err := c.conn.dynamic.Resource(pods()).Namespace(namespace).Get(limited, name, metav1.GetOptions{})
	if err != nil {
		return nil, c.failed(ctx, "read pod "+namespace+"/"+name, err)
	}
	chain := []deploy.Object{{Body: live.Object}}
	for owner := metav1.GetControllerOf(live); owner != nil && len(chain) < 8; owner = metav1.GetControllerOf(live) {
		resource, namespaced, err := c.Resource(ctx, owner.APIVersion, owner.Kind)
		if err != nil || !namespaced {
			break
		}
		if live, err = c.conn.dynamic.Resource(resource).Namespace(namespace).Get(limited, owner.Name, metav1.GetOptions{}); err != nil {
			break
		}
		chain = append(chain, deploy.Object{Body: live.Object})
	}
	return chain, nil
}

// DeploymentOf returns the deployment that an object belongs to, by its labels.
func (c *Cluster) DeploymentOf(ctx context.Context, o deploy.Object) (*Deployment, error) {
	id := ownerOf(o.Body)
	if id == "" {
		return nil, nil //nolint:nilnil // it belongs to none
	}
	all, err := c.Deployments(ctx, "") // its inventory may be in another namespace
	if err != nil {
		if all, err = c.Deployments(ctx, o.Namespace()); err != nil {
			return nil, err
		}
	}
	for i := range all {
		if applySetID(all[i].Set) == id {
			return &all[i], nil
		}
	}
	return nil, nil //nolint:nilnil // of another tool
}

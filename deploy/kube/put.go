package kube

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// Put applies objects of Kubernetes' own kinds, one after the other, and takes
// fields from whoever has them. They belong to no deployment: nothing remembers
// them. It may be called again after a failure.
func (c *Cluster) Put(ctx context.Context, objs []deploy.Object) error {
	if _, err := c.connected(ctx); err != nil {
		return err
	}
	for _, o := range objs {
		it := &item{object: o, kind: builtIn(kindRef{o.APIVersion(), o.Kind()})}
		limited, cancel := c.limit(ctx)
		_, err := c.of(it).Apply(limited, o.Name(), &unstructured.Unstructured{Object: o.Body}, metav1.ApplyOptions{FieldManager: Manager, Force: true})
		cancel()
		if err != nil {
			return c.rejected(ctx, it, "apply", err)
		}
	}
	return nil
}

// A PodExit is how the pod of a Job ended.
type PodExit struct {
	Code    int    // of its container, or of the first of those before it that failed
	Message string // what that left
}

// JobExit waits until the pod of a Job has ended, or ctx has, and returns how. It
// has to be called before: a pod that is deleted when it ends is gone at once.
func (c *Cluster) JobExit(ctx context.Context, job deploy.Object) (*PodExit, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	for {
		watch, err := conn.dynamic.Resource(pods()).Namespace(job.Namespace()).Watch(ctx, metav1.ListOptions{LabelSelector: jobName + "=" + job.Name()})
		if err != nil {
			return nil, c.failed(ctx, "watch pods of "+job.String(), err)
		}
		for event := range watch.ResultChan() {
			if pod, ok := event.Object.(*unstructured.Unstructured); ok {
				if end := podExit(deploy.Object{Body: pod.Object}); end != nil {
					watch.Stop()
					return end, nil
				}
			}
		}
		watch.Stop()
		if err := pause(ctx, time.Second); err != nil { // the server ended the watch
			return nil, err
		}
	}
}

// podExit returns how a pod ended, or nil while it has not.
func podExit(pod deploy.Object) *PodExit {
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		statuses, _ := pod.Field("status", list).([]any)
		for _, s := range statuses {
			ended, _ := deploy.Object{Body: asMap(s)}.Field("state", "terminated").(map[string]any)
			code, _ := ended["exitCode"].(int64)
			message, _ := ended["message"].(string)
			if ended != nil && (code != 0 || list == "containerStatuses") {
				return &PodExit{Code: int(code), Message: message}
			}
		}
	}
	return nil
}

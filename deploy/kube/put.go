package kube

import (
	"context"

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
		limited, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err := c.of(it).Apply(limited, o.Name(), &unstructured.Unstructured{Object: o.Body}, metav1.ApplyOptions{FieldManager: Manager, Force: true})
		cancel()
		if err != nil {
			return c.rejected(ctx, it, "apply", err)
		}
	}
	return nil
}

// JobExit returns how the pod of a Job ended: what its container, or the first of
// those before it that failed, left as its message, and its exit code. It reports
// false where no container has ended, such as of a pod that is gone.
func (c *Cluster) JobExit(ctx context.Context, job deploy.Object) (message string, code int, ok bool, err error) {
	err = c.readAll(ctx, place{pods(), job.Namespace()}, jobName+"="+job.Name(), func(pod map[string]any) {
		for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
			statuses, _ := deploy.Object{Body: pod}.Field("status", list).([]any)
			for _, s := range statuses {
				ended, _ := deploy.Object{Body: asMap(s)}.Field("state", "terminated").(map[string]any)
				exit, _ := ended["exitCode"].(int64)
				if ended == nil || ok && code != 0 {
					continue
				}
				ok, code = true, int(exit)
				message, _ = ended["message"].(string)
			}
		}
	})
	return message, code, ok, err
}

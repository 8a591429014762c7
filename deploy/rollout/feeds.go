package rollout

import (
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// routine names the events that tell of no trouble; they are most of all events.
func routine() []string {
	return []string{
		"Created", "Killing", "LeaderElection", "NoPods", "Pulled", "Pulling", "ScalingReplicaSet", "Scheduled", "Started",
		"SuccessfulCreate", "SuccessfulDelete",
	}
}

// resources says what must be watched to judge a kind.
func resources() map[string][]string {
	return map[string][]string{
		"Deployment":            {"deployments", "replicasets", "pods", "events"},
		"StatefulSet":           {"statefulsets", "pods", "events"},
		"DaemonSet":             {"daemonsets", "controllerrevisions", "pods", "events"},
		"ReplicaSet":            {"replicasets", "pods", "events"},
		"ReplicationController": {"replicationcontrollers", "pods", "events"},
		"Job":                   {"jobs", "pods", "events"},
		"CronJob":               {"cronjobs"},
		"Pod":                   {"pods", "events"},
	}
}

// feeds returns the watches that tell all about works: at most one for a kind
// in a namespace. Events are evidence, not the thing itself: who may not read
// them gets verdicts with fewer words.
func feeds(c Cluster, works []workload) []feed {
	all := map[string]feed{}
	customs := map[string][]workload{}
	for _, w := range works {
		if w.custom {
			at := w.object.APIVersion() + " " + w.object.Kind() + " " + w.namespace
			customs[at] = append(customs[at], w)
			continue
		}
		for _, resource := range resources()[w.object.Kind()] {
			all[resource+" "+w.namespace] = builtin(c, resource, w.namespace)
		}
	}
	for at, same := range customs {
		all[at] = custom(c, same)
	}
	var list []feed
	for _, f := range all {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b feed) int { return strings.Compare(a.what, b.what) })
	return list
}

// builtin watches a resource that every cluster has.
func builtin(c Cluster, resource, namespace string) feed {
	types := map[string]func() metav1.Object{
		"deployments":            func() metav1.Object { return new(appsv1.Deployment) },
		"replicasets":            func() metav1.Object { return new(appsv1.ReplicaSet) },
		"statefulsets":           func() metav1.Object { return new(appsv1.StatefulSet) },
		"daemonsets":             func() metav1.Object { return new(appsv1.DaemonSet) },
		"controllerrevisions":    func() metav1.Object { return new(appsv1.ControllerRevision) },
		"jobs":                   func() metav1.Object { return new(batchv1.Job) },
		"cronjobs":               func() metav1.Object { return new(batchv1.CronJob) },
		"replicationcontrollers": func() metav1.Object { return new(corev1.ReplicationController) },
		"pods":                   func() metav1.Object { return new(corev1.Pod) },
		"events":                 func() metav1.Object { return new(corev1.Event) },
	}
	f := feed{
		what: resource + " in " + namespace, typed: types[resource],
		open: func(ctx context.Context) (dynamic.ResourceInterface, error) {
			d, err := c.Dynamic(ctx)
			if err != nil {
				return nil, err
			}
			return d.Resource(schema.GroupVersionResource{Group: groupOf(resource), Version: "v1", Resource: resource}).Namespace(namespace), nil
		},
	}
	if resource == "events" {
		f.selector, f.optional = "reason!="+strings.Join(routine(), ",reason!="), true
	}
	return f
}

// groupOf returns the group of a resource that every cluster has.
func groupOf(resource string) string {
	switch resource {
	case "deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions":
		return "apps"
	case "jobs", "cronjobs":
		return "batch"
	}
	return ""
}

// custom watches objects of one kind that a definition brought. What the kind
// is called in a path is asked when it is needed, and again until it is known,
// for the definition may be new.
func custom(c Cluster, same []workload) feed {
	o := same[0].object
	f := feed{
		what: o.Kind() + " in " + same[0].namespace,
		open: func(ctx context.Context) (dynamic.ResourceInterface, error) {
			d, err := c.Dynamic(ctx)
			if err != nil {
				return nil, err
			}
			r, namespaced, err := c.Resource(ctx, o.APIVersion(), o.Kind())
			if err != nil {
				return nil, err
			}
			if namespaced {
				return d.Resource(r).Namespace(same[0].namespace), nil
			}
			return d.Resource(r), nil
		},
	}
	if len(same) == 1 {
		f.selector = "metadata.name=" + o.Name()
	}
	return f
}

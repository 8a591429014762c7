package rollout

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// lean returns u as the type that the judge reads, without what nobody here
// reads and what is large in great numbers. As for a kind that the judge has
// no type for, it stays u.
func lean(u *unstructured.Unstructured, typed func() metav1.Object) (metav1.Object, error) {
	body := u.Object
	if meta, ok := body["metadata"].(map[string]any); ok {
		fields, _ := meta["managedFields"].([]any)
		for _, f := range fields {
			if f, ok := f.(map[string]any); ok {
				delete(f, "fieldsV1")
			}
		}
		annotations, _ := meta["annotations"].(map[string]any)
		delete(annotations, corev1.LastAppliedConfigAnnotation)
	}
	if typed == nil {
		return u, nil
	}
	if u.GetKind() == "Pod" {
		leanPod(body)
	}
	o := typed()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(body, o); err != nil {
		return nil, err
	}
	return o, nil
}

// leanPod drops the longest parts of a pod's spec before they are decoded.
func leanPod(body map[string]any) {
	spec, _ := body["spec"].(map[string]any)
	for _, k := range []string{"volumes", "tolerations", "affinity"} {
		delete(spec, k)
	}
	for _, k := range []string{"initContainers", "containers"} {
		list, _ := spec[k].([]any)
		for _, c := range list {
			c, _ := c.(map[string]any)
			for _, k := range []string{"env", "envFrom", "volumeMounts", "args"} {
				delete(c, k)
			}
		}
	}
}

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAdmissionChangesTheImage has a real node run another image than the Deployment names, in
// the way in which a webhook or a policy of a cluster can bring that about.
func TestAdmissionChangesTheImage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tag, code string // tag: of the image that pods get
		exit      int
	}{
		{"v1", "proven", 0},
		{"v2", "wrong-digest", 7},
	} {
		t.Run(test.tag, func(t *testing.T) {
			t.Parallel()
			c, r := kubelet(t), sharedRegistry()
			ns := c.namespace(t)
			repository := r.host + "/" + ns + "/web"
			digests := map[string]string{"v1": r.push(t, ns+"/web", "v1", "serve"), "v2": r.push(t, ns+"/web", "v2", "notready")}
			c.replaceImages(t, ns, repository+"@"+digests[test.tag])

			// Both images answer at /, so that nothing but the digest is wrong.
			dir := webTree(edit{"path: /healthz", "path: /"}.apply(t, healthyWeb)).write(t)
			got := deployWeb(c, dir, ns, repository+"@"+digests["v1"]).run(t).want(t, test.exit)
			v := verdict(t, dir, "Deployment "+ns+"/web")
			if v.Code != test.code {
				t.Errorf("code is %q, want %q", v.Code, test.code)
			}
			if got.says(t, v.Text); test.exit != 0 {
				got.says(t, "container server", "runs "+digests["v2"]+", pinned was "+digests["v1"])
			}
		})
	}
}

// replaceImages makes the API server put an image into every new pod of a namespace, and returns
// when it does.
func (c *cluster) replaceImages(t *testing.T, ns, image string) {
	t.Helper()
	fail := admissionv1.Fail
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      &fail,
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": ns}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}}},
			},
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: fmt.Sprintf(`[JSONPatch{op: "replace", path: "/spec/containers/0/image", value: %q}]`, image)},
			}},
		},
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: ns},
	}
	api := c.client.AdmissionregistrationV1()
	if _, err := api.MutatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.MutatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	afterwards(t, func(ctx context.Context) error {
		return errors.Join(
			api.MutatingAdmissionPolicyBindings().Delete(ctx, ns, metav1.DeleteOptions{}),
			api.MutatingAdmissionPolicies().Delete(ctx, ns, metav1.DeleteOptions{}))
	})
	eventually(t, time.Minute, func(ctx context.Context) error {
		pod, err := c.client.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "question"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.invalid/c"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && pod.Spec.Containers[0].Image != image {
			err = fmt.Errorf("pods get image %s", pod.Spec.Containers[0].Image)
		}
		return err
	})
}

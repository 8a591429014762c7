package e2e_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestAPITroubles has each of the things happen that a cluster does to a deploy: the error says it in
// the cluster's words, and when the trouble is over, a run comes to its end.
func TestAPITroubles(t *testing.T) {
	t.Parallel()
	const config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: one}}\n"
	for _, test := range []struct {
		name    string
		text    string // of the manifest; "": config
		flags   []string
		prepare func(t *testing.T, c *cluster, ns string)
		code    int
		says    []string
		mend    func(t *testing.T, c *cluster, ns string)
		mended  string // the manifest of the second run; "": the same
	}{
		{
			name: "a webhook denies", prepare: webhook(func(review) any {
				return map[string]any{"allowed": false, "status": map[string]any{"message": "not on a Friday"}}
			}),
			code: 3, says: []string{"settings.yaml:1", "not on a Friday"}, mend: withoutWebhook,
		},
		{
			name: "a webhook does not answer", prepare: webhook(nil),
			code: 6, says: []string{"failed calling webhook", "e2e.slipway.dev"}, mend: withoutWebhook,
		},
		{
			name: "a webhook changes what is sent", prepare: webhook(func(review) any {
				patch, _ := json.Marshal([]map[string]any{{"op": "add", "path": "/data/more", "value": "x"}})
				return map[string]any{"allowed": true, "patchType": "JSONPatch", "patch": patch}
			}),
			code: 0, says: []string{"settings  created"},
		},
		{
			name: "somebody has a field", prepare: appliedBy("kubectl", `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "theirs"}}`),
			code: 7, says: []string{"data.a belongs to kubectl"}, mend: withoutSettings,
		},
		{
			name: "an autoscaler has the replicas", text: strings.Replace(fakeWeb, "image-id: PINNED", "image-id: "+pinnedFake, 1),
			flags: []string{"--image", "web=" + pinnedFake}, prepare: scaledByOthers,
			code: 7, says: []string{"spec.replicas belongs to autoscaler"}, mended: "replicas: 1\n",
		},
		{
			name: "the namespace is going", prepare: goingNamespace,
			code: 3, says: []string{"is being deleted", "run again"}, mend: func(t *testing.T, c *cluster, ns string) { goneNamespace(t, c, ns); anewNamespace(t, c, ns) },
		},
		{
			name: "a quota of objects", prepare: objectQuota("1"),
			code: 3, says: []string{"exceeded quota: few", "count/configmaps"}, mend: func(t *testing.T, c *cluster, ns string) {
				if err := c.client.CoreV1().ResourceQuotas(ns).Delete(t.Context(), "few", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "an object too large", text: fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: %q}}\n", strings.Repeat("x", 1100<<10)),
			code: 3, says: []string{"settings.yaml:1:1", "larger than 1 MiB"}, mended: config,
		},
		{
			name: "an unknown field", text: strings.Replace(config, ", data:", ", dat:", 1),
			code: 3, says: []string{"settings.yaml:1", "dat", "did you mean data"}, mended: config,
		},
		{
			name: "a custom resource without a definition", text: "{apiVersion: e2e.slipway.dev/v1, kind: Gadgit, metadata: {name: it}}\n",
			code: 3, says: []string{"Gadgit", "CustomResourceDefinition"}, mended: config,
		},
		{name: "a custom resource before its definition", text: gadgets, code: 0, says: []string{"gadgets.e2e.slipway.dev  established", "it  created"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := kwok(t)
			ns := c.namespace(t)
			if test.text == "" {
				test.text = config
			}
			if test.prepare != nil {
				test.prepare(t, c, ns)
			}
			settingsTree(t, c, ns, test.text, test.flags...).run(t).want(t, test.code).says(t, test.says...)
			if test.mend != nil {
				test.mend(t, c, ns)
			}
			switch {
			case strings.HasPrefix(test.mended, "replicas"):
				test.text = strings.Replace(test.text, "  "+test.mended, "", 1)
			case test.mended != "":
				test.text = test.mended
			}
			settingsTree(t, c, ns, test.text, test.flags...).run(t).want(t, 0)
			writes := c.writes(t, settingsTree(t, c, ns, test.text, test.flags...))
			if len(writes) > 0 {
				t.Errorf("a run without changes wrote %q", writes)
			}
		})
	}
}

// gadgets are a custom resource, and then the definition that it wants.
const gadgets = `{apiVersion: e2e.slipway.dev/v1, kind: Gadget, metadata: {name: it}, spec: {size: 3}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.e2e.slipway.dev}
spec:
  group: e2e.slipway.dev
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
`

// writes runs a call that must end well, and returns what it wrote.
func (c *cluster) writes(t *testing.T, it call) []string {
	t.Helper()
	through, writes := c.spied(t)
	it.Cluster = through
	it.run(t).want(t, 0)
	return writes()
}

// TestStuckFinalizer prunes an object that does not go, for whoever has to agree is not there.
func TestStuckFinalizer(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	const both = `{apiVersion: v1, kind: ConfigMap, metadata: {name: stays}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: goes, finalizers: [e2e.slipway.dev/nobody]}}
`
	one, _, _ := strings.Cut(both, "---\n")
	settingsTree(t, c, ns, both).run(t).want(t, 0)
	settingsTree(t, c, ns, one).run(t).want(t, 0).says(t, "goes  deleted")
	goes, err := c.client.CoreV1().ConfigMaps(ns).Get(t.Context(), "goes", metav1.GetOptions{})
	if err != nil || goes.DeletionTimestamp == nil {
		t.Fatalf("it is not on its way: %v, %v", goes, err)
	}
	if writes := c.writes(t, settingsTree(t, c, ns, one)); len(writes) > 0 {
		t.Errorf("a run that has nothing to do wrote %q", writes)
	}
	settingsTree(t, c, ns, both).run(t).want(t, 3).says(t, "goes", "is being deleted (run again when it is gone)")
	patch := []byte(`{"metadata": {"finalizers": null}}`)
	if _, err := c.client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "goes", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	settingsTree(t, c, ns, both).run(t).want(t, 0).says(t, "goes  created")
	if _, err := c.client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "goes", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err) // so that the namespace can go
	}
}

// review is what an API server asks a webhook.
type review struct {
	Request struct {
		UID string `json:"uid"`
	} `json:"request"`
}

// webhook has a server asked about every ConfigMap called settings of a namespace. A nil answer never comes.
func webhook(answer func(review) any) func(t *testing.T, c *cluster, ns string) {
	return func(t *testing.T, c *cluster, ns string) {
		t.Helper()
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var asked review
			_ = json.NewDecoder(r.Body).Decode(&asked)
			if answer == nil {
				<-r.Context().Done()
				return
			}
			text, _ := json.Marshal(answer(asked))
			var response map[string]any
			_ = json.Unmarshal(text, &response)
			response["uid"] = asked.Request.UID
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
		}))
		t.Cleanup(server.Close)
		fail, none, one := admissionv1.Fail, admissionv1.SideEffectClassNone, int32(1)
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		hook := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: ns}, Webhooks: []admissionv1.MutatingWebhook{{
			Name: "settings.e2e.slipway.dev", FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &one, AdmissionReviewVersions: []string{"v1"},
			ClientConfig:      admissionv1.WebhookClientConfig{URL: &server.URL, CABundle: ca},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": ns}},
			MatchConditions:   []admissionv1.MatchCondition{{Name: "settings", Expression: "request.name == 'settings'"}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}}}
		api := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
		if _, err := api.Create(t.Context(), hook, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		afterwards(t, func(ctx context.Context) error {
			if err := api.Delete(ctx, ns, metav1.DeleteOptions{}); err != nil && !strings.Contains(err.Error(), "not found") {
				return err
			}
			return nil
		})
		asked := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			made, err := c.client.CoreV1().ConfigMaps(ns).Create(ctx, asked, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil && made.Data["more"] == "" {
				return fmt.Errorf("the webhook is not asked yet")
			}
			return nil
		})
	}
}

func withoutWebhook(t *testing.T, c *cluster, ns string) {
	t.Helper()
	if err := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
}

// appliedBy has a manager apply a ConfigMap.
func appliedBy(manager, body string) func(t *testing.T, c *cluster, ns string) {
	return func(t *testing.T, c *cluster, ns string) {
		t.Helper()
		if _, err := c.client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "settings", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
	}
}

func withoutSettings(t *testing.T, c *cluster, ns string) {
	t.Helper()
	if err := c.client.CoreV1().ConfigMaps(ns).Delete(t.Context(), "settings", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// scaledByOthers deploys the Deployment of the manifest, which somebody scales as an autoscaler does.
func scaledByOthers(t *testing.T, c *cluster, ns string) {
	t.Helper()
	settingsTree(t, c, ns, strings.Replace(fakeWeb, "image-id: PINNED", "image-id: "+pinnedFake, 1), "--image", "web="+pinnedFake).run(t).want(t, 0)
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: ns}, Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
	if _, err := c.client.AppsV1().Deployments(ns).UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{FieldManager: "autoscaler"}); err != nil {
		t.Fatal(err)
	}
}

const finalizer = `{"metadata": {"finalizers": ["e2e.slipway.dev/nobody"]}}`

// goingNamespace deletes a namespace that does not go yet.
func goingNamespace(t *testing.T, c *cluster, ns string) {
	t.Helper()
	if _, err := c.client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "left"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "left", types.MergePatchType, []byte(finalizer), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.client.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// goneNamespace lets the namespace go, and waits until it is gone.
func goneNamespace(t *testing.T, c *cluster, ns string) {
	t.Helper()
	if _, err := c.client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "left", types.MergePatchType, []byte(`{"metadata": {"finalizers": null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		_, err := c.client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		if err == nil {
			return fmt.Errorf("namespace %s is still there", ns)
		}
		return nil
	})
}

func anewNamespace(t *testing.T, c *cluster, ns string) {
	t.Helper()
	if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(ns).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// objectQuota lets a namespace hold no more ConfigMaps than it has, beside n.
func objectQuota(n string) func(t *testing.T, c *cluster, ns string) {
	return func(t *testing.T, c *cluster, ns string) {
		t.Helper()
		hard := corev1.ResourceList{"count/configmaps": resource.MustParse(n)}
		if _, err := c.client.CoreV1().ResourceQuotas(ns).Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, func(ctx context.Context) error {
			q, err := c.client.CoreV1().ResourceQuotas(ns).Get(ctx, "few", metav1.GetOptions{})
			if err == nil && len(q.Status.Used) == 0 {
				err = fmt.Errorf("nothing is counted yet")
			}
			return err
		})
	}
}

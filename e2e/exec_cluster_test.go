package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestExecInCluster runs commands as Jobs on a real node, in a namespace where Pod Security is
// restricted: once for one content, with a secret that no spec shows.
func TestExecInCluster(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	ns := c.namespace(t)
	if _, err := c.client.CoreV1().Namespaces().Patch(t.Context(), ns, "application/merge-patch+json",
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.CoreV1().Secrets(ns).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "db"}, StringData: map[string]string{"DB": "the database of " + ns},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	repository := sharedRegistry().host + "/" + ns + "/app"
	image := repository + "@" + sharedRegistry().push(t, ns+"/app", "env", "env")
	crashing := repository + "@" + sharedRegistry().push(t, ns+"/app", "crash", "crash")
	pipeline := func(image, command string) string {
		return `slipway: v1
name: it
vars: {token: {type: secret, env: TOKEN}}
stages:
  migrate:
    exec:
      in: cluster
      image: ` + image + `
      command: ` + command + `
      user: "65532"
      env: {TOKEN: "${{ vars.token }}"}
      envFrom: [db]
`
	}
	as := ourselves(t)
	run := func(text string) result {
		t.Helper()
		return call{Dir: files{"slipway.yaml": text}.write(t), Cluster: c, Env: []string{"TOKEN=s3cret-of-" + ns}, Args: []string{"run", "-n", ns}}.start(t, as).end(time.Minute)
	}
	jobs := func() map[string]string {
		t.Helper()
		list, err := c.client.BatchV1().Jobs(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		uids := map[string]string{}
		for _, j := range list.Items {
			uids[j.Name] = string(j.UID)
			if b, err := json.Marshal(j); err != nil || strings.Contains(string(b), "s3cret-of-") {
				t.Errorf("the Job holds the secret: %s, %v", b, err)
			}
		}
		return uids
	}
	run(pipeline(image, "[/testapp, env, DB]")).want(t, 0).says(t, "the database of "+ns)
	first := jobs()
	run(pipeline(image, "[/testapp, env, DB]")).want(t, 0).says(t, "nothing had to change")
	for name, uid := range jobs() {
		if first[name] != uid {
			t.Errorf("Job %s was not there before", name)
		}
	}
	run(pipeline(image, "[/testapp, env, TOKEN]")).want(t, 0).says(t, "***")
	for range 2 { // what failed runs again
		run(pipeline(crashing, "[/testapp, crash]")).want(t, 4).says(t, "exit code 3", "crashing on purpose")
	}
	run(strings.Replace(pipeline(image, "[/testapp, env, DB]"), `      user: "65532"`+"\n", "", 1)).want(t, 4).says(t, "runAsNonRoot")
	if got := jobs(); len(got) != 3 {
		t.Errorf("%d Jobs: %v", len(got), got)
	}
}

package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scheduledPipeline deploys one Service, after a command in the cluster that has a secret.
const scheduledPipeline = `slipway: v1
name: nightly
registries: {%[1]q: {http: true, pullAs: %[2]q}}
vars:
  registry: {env: REGISTRY}
  token: {type: secret, env: TOKEN}
stages:
  web:
    build: {context: app, push: "${{ vars.registry }}/web"}
  migrate:
    exec: {in: cluster, image: "${{ stages.web.image }}", command: [/bin/busybox, sh, -c, "test $TOKEN = s3cret-of-night"], env: {TOKEN: "${{ vars.token }}"}}
  rollout:
    needs: [migrate]
    deploy: {kustomize: deploy}
`

// TestJobScheduled starts the two CronJobs of a pipeline as their controller does: the one that
// deploys waits for what the other of the same time has built.
func TestJobScheduled(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	ns, builds := c.namespace(t), c.namespace(t)
	c.secure(t, ns, "restricted")
	pods := sharedRegistry().inside(t)
	registry := pods + "/" + ns
	dir := files{
		"slipway.yaml":              fmt.Sprintf(scheduledPipeline, pods, sharedRegistry().host),
		"app/busybox":               "",
		"app/Dockerfile":            "FROM scratch\nCOPY busybox /bin/busybox\nUSER 65532\n",
		"deploy/kustomization.yaml": "resources: [web.yaml]\n",
		"deploy/web.yaml":           "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n",
	}.write(t)
	for _, at := range []string{ns, builds} {
		if _, err := c.client.CoreV1().Secrets(at).Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "creds"}, StringData: map[string]string{"TOKEN": "s3cret-of-night"},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	cleanRoles(t, c, ns, "nightly")
	call{Dir: dir, Cluster: c, Env: []string{"REGISTRY=" + registry, "TOKEN=s3cret-of-night"}, Args: []string{
		"job", "-n", ns, "--apply", "--schedule", "0 4 * * *", "--image", pushBuilder(t, ns+"/slipway"), "--build-namespace", builds,
		"--repository", registry + "/jobs", "--env-from", "creds", "--deadline", "2m",
	}}.start(t, ourselves(t)).end(time.Minute).want(t, 0).says(t, "CronJob "+ns+`/nightly-deploy runs at "0 4 * * *"`)

	var deploying *batchv1.Job
	for _, at := range []struct{ namespace, name string }{{ns, "nightly-deploy"}, {builds, "nightly-build"}} {
		cron, err := c.client.BatchV1().CronJobs(at.namespace).Get(t.Context(), at.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		job, err := c.client.BatchV1().Jobs(at.namespace).Create(t.Context(), &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: at.name + "-29391840", Labels: cron.Spec.JobTemplate.Labels}, Spec: cron.Spec.JobTemplate.Spec,
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if deploying == nil {
			deploying = job
		}
	}
	ended := false
	defer func() {
		if ended && !t.Failed() {
			return
		}
		for _, at := range []string{ns, builds} {
			list, err := c.client.CoreV1().Pods(at).List(context.WithoutCancel(t.Context()), metav1.ListOptions{LabelSelector: "slipway.dev/part"})
			if err != nil {
				t.Log(err)
				continue
			}
			for _, p := range list.Items {
				out, err := c.client.CoreV1().Pods(at).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(context.WithoutCancel(t.Context()))
				t.Logf("%s: %s %v", p.Name, out, err)
			}
		}
	}()
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		got, err := c.client.BatchV1().Jobs(ns).Get(ctx, deploying.Name, metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case got.Status.Failed > 0:
			t.Fatalf("it failed: %+v", got.Status)
		case got.Status.Succeeded == 0:
			return fmt.Errorf("status is %+v", got.Status)
		}
		return nil
	})
	if _, err := c.client.CoreV1().Services(ns).Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	ended = true
}

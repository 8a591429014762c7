package e2e_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// TestVerdicts rolls out on real nodes what cannot work. Each row changes one thing of the first,
// which can.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		mode   string // of the image
		digest string // instead of the image's own
		edit   edit
		code   string
		at     string                 // what stands on the line of the manifest that the verdict names
		says   []string               // of the verdict, cure and last words
		shows  func(*corev1.Pod) bool // when a pod first shows it; the verdict follows within 15 s
	}{
		{name: "healthy", mode: "serve", code: "proven", says: []string{"2/2 pods run sha256:"}},
		{
			name: "crashes", mode: "crash", code: "crash-loop", at: "- name: server",
			says: []string{"container server", "exit code 3", "crashing on purpose"},
			shows: inFirstContainer(func(s corev1.ContainerStatus) bool {
				return s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
			}),
		},
		{
			name: "not in the registry", mode: "serve", digest: fakeDigest(1), code: "image-pull", at: "image: web",
			says: []string{"container server", fakeDigest(1), "not found"},
			shows: inFirstContainer(func(s corev1.ContainerStatus) bool {
				return s.State.Waiting != nil && (s.State.Waiting.Reason == "ErrImagePull" || s.State.Waiting.Reason == "ImagePullBackOff")
			}),
		},
		{
			name: "never ready", mode: "serve", edit: edit{"value: 0s", "value: 1h"}, code: "never-ready", at: "readinessProbe:",
			says: []string{"container server", "statuscode: 503", "readinessProbe"},
		},
		{
			name: "no ConfigMap", mode: "serve", edit: edit{"name: settings}}]", "name: setting}}]"}, code: "bad-config", at: "- name: server",
			says: []string{"container server", `configmap "setting" not found`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := kubelet(t)
			ns := c.namespace(t)
			repository := sharedRegistry().host + "/" + ns + "/web"
			digest := sharedRegistry().push(t, ns+"/web", "v1", test.mode)
			if test.digest != "" {
				digest = test.digest
			}
			shown := c.firstPod(t, ns, test.shows)
			dir := webTree(test.edit.apply(t, healthyWeb)).write(t)
			got := deployWeb(c, dir, ns, repository+"@"+digest).run(t)

			v := verdict(t, dir, "Deployment "+ns+"/web")
			if v.Code != test.code {
				t.Errorf("code is %q, want %q", v.Code, test.code)
			}
			got.says(t, append(test.says, v.Text)...)
			if test.code == "proven" {
				got.want(t, 0)
				return
			}
			got.want(t, 7)
			before, _, _ := strings.Cut(healthyWeb, test.at)
			if line := 1 + strings.Count(before, "\n"); !strings.HasSuffix(v.File, "web/web.yaml") || v.Line != line {
				t.Errorf("the verdict is at %s:%d, want web/web.yaml:%d", v.File, v.Line, line)
			}
			if test.shows == nil {
				return
			}
			first, seen := <-shown
			if late := v.Time.Sub(first); !seen || late > 15*time.Second {
				t.Errorf("the verdict came %s after a pod showed it (seen: %t), want less than 15s", late, seen)
			}
		})
	}
}

// inFirstContainer is a condition of a pod's first container.
func inFirstContainer(is func(corev1.ContainerStatus) bool) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		return len(pod.Status.ContainerStatuses) > 0 && is(pod.Status.ContainerStatuses[0])
	}
}

// firstPod watches pods until one of them is as wanted, and sends when that was.
func (c *cluster) firstPod(t *testing.T, ns string, is func(*corev1.Pod) bool) <-chan time.Time {
	t.Helper()
	w, err := c.client.CoreV1().Pods(ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	first := make(chan time.Time, 1)
	go func(events <-chan watch.Event) {
		defer close(first)
		for ev := range events {
			if pod, ok := ev.Object.(*corev1.Pod); ok && is != nil && is(pod) {
				first <- time.Now()
				return
			}
		}
	}(w.ResultChan())
	return first
}

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// playedPod makes a pod with two containers, c and d, and returns a function that reads it.
func playedPod(t *testing.T, annotations map[string]string) func(context.Context) (*corev1.Pod, error) {
	t.Helper()
	c := kwok(t)
	ns := c.namespace(t)
	_, err := c.client.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod", Annotations: annotations},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "c", Image: "registry.invalid/c:v1@sha256:1111111111111111111111111111111111111111111111111111111111111111"},
			{Name: "d", Image: "registry.invalid/d:v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) (*corev1.Pod, error) {
		return c.client.CoreV1().Pods(ns).Get(ctx, "pod", metav1.GetOptions{})
	}
}

func TestKwokImageIDComesFromTheScenario(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		annotations map[string]string
		want        string
	}{
		{"no annotation", nil, `"" ""`},
		{"for all", map[string]string{"e2e.slipway.dev/image-id": "r/c@sha256:22"}, `"r/c@sha256:22" "r/c@sha256:22"`},
		{"for one", map[string]string{"e2e.slipway.dev/image-id.d": "r/d@sha256:33"}, `"" "r/d@sha256:33"`},
		{"one against all", map[string]string{
			"e2e.slipway.dev/image-id": "r/c@sha256:22", "e2e.slipway.dev/image-id.d": "r/d@sha256:33",
		}, `"r/c@sha256:22" "r/d@sha256:33"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			read := playedPod(t, test.annotations)
			eventually(t, 5*time.Second, func(ctx context.Context) error {
				pod, err := read(ctx)
				if err != nil {
					return err
				}
				if !podReady(pod) {
					return errors.New("not ready")
				}
				if got := imageIDs(pod); got != test.want {
					t.Fatalf("imageIDs are %s, want %s", got, test.want)
				}
				return nil
			})
		})
	}
}

func TestKwokImageIDFollowsTheAnnotation(t *testing.T) {
	t.Parallel()
	read := playedPod(t, map[string]string{"e2e.slipway.dev/image-id": "r/c@sha256:22"})
	pod, err := read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"metadata":{"annotations":{"e2e.slipway.dev/image-id":"r/c@sha256:44"}}}`)
	if _, err := kwok(t).client.CoreV1().Pods(pod.Namespace).Patch(t.Context(), pod.Name, "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func(ctx context.Context) error {
		pod, err := read(ctx)
		if err != nil {
			return err
		}
		if got, want := imageIDs(pod), `"r/c@sha256:44" "r/c@sha256:44"`; got != want {
			return fmt.Errorf("imageIDs are %s, want %s", got, want)
		}
		return nil
	})
}

func TestKwokScenarios(t *testing.T) {
	t.Parallel()
	state := func(pod *corev1.Pod) corev1.ContainerStatus { return pod.Status.ContainerStatuses[0] }
	for _, test := range []struct {
		name        string
		annotations map[string]string
		reached     func(*corev1.Pod) bool
	}{
		{"image-pull", map[string]string{"e2e.slipway.dev/fail": "image-pull"}, func(pod *corev1.Pod) bool {
			w := state(pod).State.Waiting
			return pod.Status.Phase == corev1.PodPending && w != nil && w.Reason == "ImagePullBackOff"
		}},
		{"crash-loop", map[string]string{"e2e.slipway.dev/fail": "crash-loop"}, func(pod *corev1.Pod) bool {
			c := state(pod)
			return pod.Status.Phase == corev1.PodRunning && c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff" &&
				c.RestartCount > 0 && c.LastTerminationState.Terminated != nil && c.LastTerminationState.Terminated.ExitCode == 3
		}},
		{"not-ready", map[string]string{"e2e.slipway.dev/fail": "not-ready"}, func(pod *corev1.Pod) bool {
			return pod.Status.Phase == corev1.PodRunning && state(pod).State.Running != nil && !podReady(pod)
		}},
		{"one container", map[string]string{"e2e.slipway.dev/fail.d": "not-ready"}, func(pod *corev1.Pod) bool {
			return state(pod).Ready && !pod.Status.ContainerStatuses[1].Ready && !podReady(pod)
		}},
		{"ready-after", map[string]string{"e2e.slipway.dev/ready-after": "2s"}, func(pod *corev1.Pod) bool {
			return podReady(pod) && time.Since(pod.Status.StartTime.Time) > time.Second
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			read := playedPod(t, test.annotations)
			eventually(t, 6*time.Second, func(ctx context.Context) error {
				pod, err := read(ctx)
				if err == nil && (len(pod.Status.ContainerStatuses) == 0 || !test.reached(pod)) {
					err = fmt.Errorf("status is %+v", pod.Status)
				}
				return err
			})
		})
	}
}

func TestKwokJobsEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fail string
		want batchv1.JobConditionType
	}{
		{"", batchv1.JobComplete},
		{"exit", batchv1.JobFailed},
	} {
		t.Run(string(test.want), func(t *testing.T) {
			t.Parallel()
			c := kwok(t)
			jobs := c.client.BatchV1().Jobs(c.namespace(t))
			if _, err := jobs.Create(t.Context(), &batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{Name: "job"},
				Spec: batchv1.JobSpec{BackoffLimit: new(int32), Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"e2e.slipway.dev/fail": test.fail}},
					Spec: corev1.PodSpec{
						RestartPolicy: corev1.RestartPolicyNever,
						Containers:    []corev1.Container{{Name: "c", Image: "registry.invalid/c:v1"}},
					},
				}},
			}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, 10*time.Second, func(ctx context.Context) error {
				job, err := jobs.Get(ctx, "job", metav1.GetOptions{})
				if err != nil {
					return err
				}
				for _, condition := range job.Status.Conditions {
					if condition.Type == test.want && condition.Status == corev1.ConditionTrue {
						return nil
					}
				}
				return fmt.Errorf("status is %+v", job.Status)
			})
		})
	}
}

func podReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// imageIDs are those of a pod's two containers, quoted.
func imageIDs(pod *corev1.Pod) string {
	if len(pod.Status.ContainerStatuses) != 2 {
		return fmt.Sprintf("of %d containers", len(pod.Status.ContainerStatuses))
	}
	return fmt.Sprintf("%q %q", pod.Status.ContainerStatuses[0].ImageID, pod.Status.ContainerStatuses[1].ImageID)
}

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// deployment is one of testapp in a namespace, with a readiness probe.
func deployment(image string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "web", Image: image,
					ReadinessProbe: &corev1.Probe{
						PeriodSeconds: 1,
						ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}},
					},
				}}},
			},
		},
	}
}

// runDeployment makes a deployment and waits until all of it is ready; it returns its pods.
func runDeployment(t *testing.T, c *cluster, ns string, d *appsv1.Deployment) []corev1.Pod {
	t.Helper()
	if _, err := c.client.AppsV1().Deployments(ns).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		got, err := c.client.AppsV1().Deployments(ns).Get(ctx, d.Name, metav1.GetOptions{})
		if err == nil && got.Status.AvailableReplicas != *d.Spec.Replicas {
			err = fmt.Errorf("status is %+v", got.Status)
		}
		return err
	})
	pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// logs waits until a container has ended, and returns what it wrote and its exit code.
func logs(t *testing.T, c *cluster, ns, pod string) (string, int32) {
	t.Helper()
	var code int32
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		got, err := c.client.CoreV1().Pods(ns).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(got.Status.ContainerStatuses) == 0 || got.Status.ContainerStatuses[0].State.Terminated == nil {
			return fmt.Errorf("status is %+v", got.Status)
		}
		code = got.Status.ContainerStatuses[0].State.Terminated.ExitCode
		return nil
	})
	b, err := c.client.CoreV1().Pods(ns).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), code
}

func TestKubeletRunsAPod(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	ns := c.namespace(t)
	digest := sharedRegistry().push(t, ns+"/web", "v1", "serve")
	repository := sharedRegistry().host + "/" + ns + "/web"

	pods := runDeployment(t, c, ns, deployment(repository+":v1@"+digest, 3))
	if got, want := len(pods), 3; got != want {
		t.Fatalf("%d pods, want %d", got, want)
	}
	for _, pod := range pods {
		// A node that pulled the same image for another test first names that repository.
		if got := pod.Status.ContainerStatuses[0].ImageID; !strings.HasSuffix(got, "@"+digest) {
			t.Errorf("pod %s: imageID is %q, want %s", pod.Name, got, digest)
		}
	}
	// This machine reaches pods at their own addresses.
	resp, err := http.Get("http://" + pods[0].Status.PodIP + ":8080/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(body), "hello from "+pods[0].Name+"\n"; got != want {
		t.Errorf("GET / says %q, want %q", got, want)
	}
}

func TestKubeletPodsReachEachOtherAndTheAPIServerOnly(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	ns := c.namespace(t)
	host := sharedRegistry().host + "/" + ns + "/"
	serve := host + "app@" + sharedRegistry().push(t, ns+"/app", "serve", "serve")
	get := host + "app@" + sharedRegistry().push(t, ns+"/app", "get", "get")
	api := host + "app@" + sharedRegistry().push(t, ns+"/app", "api", "api")
	if _, err := c.client.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "view"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: ns}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	other := runDeployment(t, c, ns, deployment(serve, 1))[0]

	for _, test := range []struct {
		name, image string
		args        []string
		code        int32
		want        string
	}{
		{"pod", get, []string{"http://" + other.Status.PodIP + ":8080/"}, 0, "hello from"},
		{"api", api, []string{"/api/v1/namespaces/" + ns + "/pods/" + other.Name}, 0, `"kind":"Pod"`},
		{"world", get, []string{"http://198.51.100.1/"}, 1, "network is unreachable"},
		{"dns", get, []string{"http://web.example/"}, 1, "network is unreachable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := c.client.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: test.name},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever,
					Containers:    []corev1.Container{{Name: "c", Image: test.image, Args: test.args}},
				},
			}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			out, code := logs(t, c, ns, test.name)
			if code != test.code || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d, want %d; it says %q, want %q in it", code, test.code, out, test.want)
			}
		})
	}
}

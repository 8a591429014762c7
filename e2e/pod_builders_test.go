package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// buildkitdImage is BuildKit's own daemon with its client and a runtime.
var buildkitdImage = sync.OnceValues(func() (v1.Image, error) {
	programs := map[string][]byte{}
	for _, name := range []string{"buildkitd", "buildctl"} {
		bin, err := binary("", "peers/"+name)
		if err != nil {
			return nil, fmt.Errorf("%w (make bin/peers/.buildkit)", err)
		}
		if programs[name], err = os.ReadFile(bin); err != nil {
			return nil, err
		}
	}
	packed, err := os.ReadFile(filepath.Join("..", "buildkit", "embed", "bin", runtime.GOARCH, "runc.gz"))
	if err != nil {
		return nil, fmt.Errorf("%w (make runc)", err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	if programs["runc"], err = io.ReadAll(r); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777})
	for name, data := range programs {
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: "bin/" + name, Mode: 0o755, Size: int64(len(data))})
		}
		if err == nil {
			_, err = w.Write(data)
		}
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return oneLayer(b.Bytes(), runtime.GOARCH, func(c *v1.Config) {
		c.Env, c.Entrypoint = []string{"PATH=/bin"}, []string{"buildkitd", "--containerd-worker=false"}
	})
})

// podBuilders runs pods with a buildkitd each, as its documentation has them, and
// returns their addresses.
func podBuilders(t *testing.T, c *cluster, ns string, names ...string) string {
	t.Helper()
	image, err := buildkitdImage()
	if err != nil {
		t.Fatal(err)
	}
	at := sharedRegistry().host + "/" + ns + "/buildkitd:v1"
	ref, err := name.NewTag(at, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	privileged, grace := true, int64(5)
	var addresses []string
	for _, name := range names {
		_, err := c.client.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: &grace,
				Containers: []corev1.Container{{
					Name: "buildkitd", Image: at,
					SecurityContext: &corev1.SecurityContext{Privileged: &privileged},
					ReadinessProbe: &corev1.Probe{
						PeriodSeconds: 1, TimeoutSeconds: 5,
						ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"buildctl", "debug", "workers"}}},
					},
					VolumeMounts: []corev1.VolumeMount{{Name: "state", MountPath: "/var/lib/buildkit"}},
				}},
				Volumes: []corev1.Volume{{Name: "state", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, "kube-pod://"+name+"?namespace="+ns)
	}
	for _, name := range names {
		eventually(t, time.Minute, func(ctx context.Context) error {
			pod, err := c.client.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
			if err == nil && !podReady(pod) {
				err = fmt.Errorf("status is %+v", pod.Status)
			}
			return err
		})
	}
	return strings.Join(addresses, ",")
}

// withKubectl is an environment that has kubectl, ours before the machine's.
func withKubectl(t *testing.T, more ...string) []string {
	t.Helper()
	peers, err := filepath.Abs(filepath.Join("..", "bin", "peers"))
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"PATH=" + peers + ":" + os.Getenv("PATH")}, more...)
}

// TestBuildersInPods builds on BuildKit's own daemon in pods of a real node. The pod
// that builds is taken away in the middle, in its own time and at once: the image is
// built in the other.
func TestBuildersInPods(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	ns := c.namespace(t)
	for _, test := range []struct {
		name  string
		grace *int64
	}{
		{"deleted", nil},
		{"gone", new(int64)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			builders := podBuilders(t, c, ns, test.name+"-a", test.name+"-b")
			// The step asks us whether to go on: the first who does is taken away.
			asked := make(chan string, 2)
			var times atomic.Int32
			lis, err := net.Listen("tcp", "10.243.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			gate := &httptest.Server{Listener: lis, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				host, _, _ := net.SplitHostPort(r.RemoteAddr)
				asked <- host
				if times.Add(1) == 1 {
					select { // who is gone at once does not hang up
					case <-r.Context().Done():
					case <-t.Context().Done():
					}
				}
			})}}
			gate.Start()
			t.Cleanup(gate.Close)
			registry := newRegistry(t)
			as := ourselves(t)
			run := call{
				Dir:     as.write(t, appTree("RUN /bin/busybox wget -q -O - http://"+lis.Addr().String()+"/ && echo made > /file")),
				Cluster: c, Env: withKubectl(t, "REPOSITORY="+registry.host+"/app"),
				Args: []string{"run", "--progress", "plain", "--builder", builders},
			}.start(t, as)
			var builds string
			select {
			case builds = <-asked:
			case <-run.ended:
				run.end(0).want(t, 0)
				t.Fatal("nobody asked")
			case <-time.After(time.Minute):
				t.Fatalf("nobody asks\n%s%s", run.stdout.String(), run.stderr.String())
			}
			pod := podAt(t, c, ns, builds)
			if err := c.client.CoreV1().Pods(ns).Delete(t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: test.grace}); err != nil {
				t.Fatal(err)
			}
			r := run.end(90*time.Second).want(t, 0)
			r.says(t, "builder kube-pod://"+pod+"?namespace="+ns+" went away (1 of 2 are left): ", "pushed  "+registry.host+"/app")
			if strings.Contains(r.Stderr, "rpc error") {
				t.Errorf("it says what nobody understands\n%s", r.Stderr)
			}
			if other := <-asked; other == builds {
				t.Errorf("it was built again at %s, which is away", other)
			}
			registry.digest(t, "app")
			if _, err := os.Stat(filepath.Join(as.home, "cache", "slipway", "root")); err == nil {
				t.Error("a solver of our own was started")
			}
			// What the builder that is left has is reused there.
			call{Dir: run.cmd.Dir, Cluster: c, Env: withKubectl(t, "REPOSITORY="+registry.host+"/second"), Args: []string{"run", "--builder", builders}}.
				start(t, as).end(time.Minute).want(t, 0)
			if got, want := registry.digest(t, "second"), registry.digest(t, "app"); got != want || len(asked) > 0 {
				t.Errorf("the second run pushed %s, want %s; the step ran %d times more", got, want, len(asked))
			}
		})
	}
}

// podAt returns the name of the pod that has an address.
func podAt(t *testing.T, c *cluster, ns, address string) string {
	t.Helper()
	pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		if pod.Status.PodIP == address {
			return pod.Name
		}
	}
	t.Fatalf("no pod has %s", address)
	return ""
}

// TestBuildersInPodsMissing says what is wrong where there is no builder: no pod, no
// buildkitd in it, nobody who would bring us there.
func TestBuildersInPodsMissing(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	ns := c.namespace(t)
	image := sharedRegistry().host + "/" + ns + "/app@" + sharedRegistry().push(t, ns+"/app", "serve", "serve")
	if _, err := c.client.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		pod, err := c.client.CoreV1().Pods(ns).Get(ctx, "other", metav1.GetOptions{})
		if err == nil && !podReady(pod) {
			err = fmt.Errorf("status is %+v", pod.Status)
		}
		return err
	})
	dir, repository := appTree("RUN true").write(t), "REPOSITORY="+newRegistry(t).host+"/app"
	for _, test := range []struct {
		name, pod string
		env       []string
		says      []string
	}{
		{"no pod", "nobody", withKubectl(t), []string{"the builder at kube-pod://nobody?namespace=" + ns + ` does not answer: kubectl: Error from server (NotFound): pods "nobody" not found (start`}},
		{"no buildkitd", "other", withKubectl(t), []string{"does not answer: kubectl: ", `"buildctl": executable file not found`}},
		{"no kubectl", "other", []string{"PATH=/nowhere"}, []string{"(install kubectl, through which it is reached)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := call{Dir: dir, Cluster: c, Env: append(test.env, repository), Args: []string{"run", "--builder", "kube-pod://" + test.pod + "?namespace=" + ns}}.
				start(t, ourselves(t)).end(time.Minute)
			r.want(t, 12).says(t, test.says...)
		})
	}
}

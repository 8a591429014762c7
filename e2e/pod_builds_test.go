package e2e_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// builderImage is slipway with a tree to build in /work, and nothing else.
var builderImage = sync.OnceValues(func() (v1.Image, error) {
	bin, err := binary("SLIPWAY_BIN", "slipway")
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	busy, err := readBusybox()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, data []byte, mode int64) {
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data))})
		}
		if err == nil {
			_, err = w.Write(data)
		}
	}
	add("slipway", program, 0o755)
	for path, text := range appTree("RUN /bin/busybox id -u && /bin/busybox grep ^Seccomp: /proc/self/status && echo made > /file") {
		if strings.HasSuffix(path, "busybox") {
			add("work/"+path, busy, 0o755)
			continue
		}
		add("work/"+path, []byte(text), 0o644)
	}
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return oneLayer(b.Bytes(), "amd64", func(c *v1.Config) {
		c.Entrypoint, c.WorkingDir = []string{"/slipway"}, "/work"
	})
})

// pushBuilder puts the image into the registry that the node pulls from.
func pushBuilder(t *testing.T, repository string) string {
	t.Helper()
	image, err := builderImage()
	if err != nil {
		t.Fatal(err)
	}
	at := sharedRegistry().host + "/" + repository + ":v1"
	ref, err := name.NewTag(at, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return at
}

// builderPod is a pod without any privilege that runs slipway, beside a registry
// of its own.
func builderPod(name, image string, seccomp corev1.SeccompProfileType, args ...string) *corev1.Pod {
	no, yes, uid, always := false, true, int64(1000), corev1.ContainerRestartPolicyAlways
	security := &corev1.SecurityContext{
		RunAsUser: &uid, RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: seccomp},
	}
	container := func(name string, args ...string) corev1.Container {
		return corev1.Container{
			Name: name, Image: image, Args: args, SecurityContext: security,
			VolumeMounts: []corev1.VolumeMount{{Name: "state", MountPath: "/state"}},
			Env: []corev1.EnvVar{
				{Name: "HOME", Value: "/state"},
				{Name: "TMPDIR", Value: "/state"},
				{Name: "REPOSITORY", Value: "127.0.0.1:5000/team/app"},
			},
		}
	}
	serve := container("registry", "registry", "serve", "--addr", "0.0.0.0:5000", "--dir", "/state/registry")
	serve.RestartPolicy = &always
	serve.StartupProbe = &corev1.Probe{
		PeriodSeconds: 1, FailureThreshold: 30,
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/v2/", Port: intstr.FromInt32(5000)}},
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			RestartPolicy:  corev1.RestartPolicyNever,
			InitContainers: []corev1.Container{serve},
			Containers:     []corev1.Container{container("build", args...)},
			Volumes:        []corev1.Volume{{Name: "state", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
}

// built waits until the build of a pod has ended, and returns what it wrote and
// its exit code.
func built(t *testing.T, c *cluster, ns string, pod *corev1.Pod) (string, int32) {
	t.Helper()
	if _, err := c.client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var code int32
	eventually(t, 90*time.Second, func(ctx context.Context) error {
		got, err := c.client.CoreV1().Pods(ns).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(got.Status.ContainerStatuses) == 0 || got.Status.ContainerStatuses[0].State.Terminated == nil {
			return fmt.Errorf("status is %+v", got.Status)
		}
		code = got.Status.ContainerStatuses[0].State.Terminated.ExitCode
		return nil
	})
	b, err := c.client.CoreV1().Pods(ns).GetLogs(pod.Name, &corev1.PodLogOptions{Container: "build"}).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), code
}

// A pod without any privilege builds, with RUN, and pushes; where seccomp forbids
// that, doctor says so.
func TestBuildsInAPod(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	ns := c.namespace(t)
	image := pushBuilder(t, ns+"/slipway")
	for _, test := range []struct {
		name    string
		seccomp corev1.SeccompProfileType
		args    []string
		code    int32
		says    []string // of doctor: all that testdata/NAME.golden has
	}{
		{"build", corev1.SeccompProfileTypeUnconfined, []string{"run", "--state", "/state/slipway"}, 0, []string{"Seccomp:\t2", "pushed  127.0.0.1:5000/team/app"}},
		{"doctor", corev1.SeccompProfileTypeUnconfined, []string{"doctor", "--state", "/state/slipway"}, 0, nil},
		{"forbidden", corev1.SeccompProfileTypeRuntimeDefault, []string{"run", "--state", "/state/slipway"}, 12, []string{"seccompProfile.type: Unconfined", "see also: slipway doctor"}},
		{"doctor-forbidden", corev1.SeccompProfileTypeRuntimeDefault, []string{"doctor", "--state", "/state/slipway"}, 12, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, code := built(t, c, ns, builderPod(test.name, image, test.seccomp, test.args...))
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if test.args[0] == "doctor" {
				matches(t, filepath.Join("testdata", test.name+".golden"), machineless(ns, out))
			}
			for _, want := range test.says {
				if !strings.Contains(out, want) && !strings.Contains(out, strings.ReplaceAll(want, "\t", "    ")) {
					t.Errorf("it does not say %q", want)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// machineless takes out of what doctor says in a pod what is of this machine: its
// kernel, cgroups, emulators, disks, the name of the namespace, and why nobody says
// what that admits, which is that it is forbidden, or that the cluster is slow.
func machineless(ns, text string) string {
	var kept []string
	drop := false
	for line := range strings.Lines(strings.ReplaceAll(text, ns, "NAMESPACE")) {
		if len(line) > 25 && line[0] != ' ' {
			name := strings.TrimSpace(line[9:25])
			drop = slices.Contains([]string{"system", "cgroups", "other platforms", "disk", "apparmor", "cluster"}, name)
			if before, _, ok := strings.Cut(line, "could not be read: "); ok && name == "pod security" {
				line = before + "could not be read: WHY\n"
			}
		}
		if !drop || line == "\n" || strings.HasPrefix(line, "images ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// matches compares a text with a golden file.
func matches(t *testing.T, golden, got string) {
	t.Helper()
	if os.Getenv("SLIPWAY_E2E_UPDATE") != "" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(golden), 0o755), os.WriteFile(golden, []byte(got), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant, in %s,\n%s", got, golden, want)
	}
}

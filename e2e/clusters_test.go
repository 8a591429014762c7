package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is one that runs.
type cluster struct {
	dir        string
	kubeconfig string
	client     kubernetes.Interface
}

// clusters are those of this run, each started once, by the kind of their node.
var clusters = clusterSet{running: map[string]*cluster{}, leashes: map[string]*leash{}}

type clusterSet struct {
	mu      sync.Mutex
	running map[string]*cluster
	leashes map[string]*leash
}

// kwok returns the cluster with a played node: anyone can run it, pods are ready at once.
func kwok(t *testing.T) *cluster {
	t.Helper()
	return clusters.get(t, "kwok", 17540)
}

// kubelet returns the cluster with a real node, which pulls from sharedRegistry. It needs root.
func kubelet(t *testing.T) *cluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a real node needs root")
	}
	return clusters.get(t, "kubelet", 17560, "--registry", sharedRegistry().host)
}

func (s *clusterSet) get(t *testing.T, node string, apiPort int, flags ...string) *cluster {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.running[node]; c != nil {
		return c
	}
	dir := filepath.Join(folder(), node)
	if s.leashes[node] == nil {
		if err := clusterCommand(context.Background(), "down", "--dir", dir); err != nil {
			t.Fatal(err)
		}
		leash, err := newLeash(dir)
		if err != nil {
			t.Fatal(err)
		}
		s.leashes[node] = leash
	}
	args := append([]string{"up", "--dir", dir, "--node", node, "--api-port", fmt.Sprint(apiPort)}, flags...)
	// Not t.Context(): the cluster outlives the test.
	if err := clusterCommand(context.Background(), args...); err != nil {
		t.Fatal(err)
	}
	c := &cluster{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	s.running[node] = c
	return c
}

// forget makes the next test that asks for this kind start it again. The test took it down.
func (s *clusterSet) forget(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, node)
}

// release takes all clusters down.
func (s *clusterSet) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for node, l := range s.leashes {
		errs = append(errs, l.release())
		delete(s.leashes, node)
		delete(s.running, node)
	}
	return errors.Join(errs...)
}

// clusterCommand runs slipway-cluster.
func clusterCommand(ctx context.Context, args ...string) error {
	bin, err := binary("SLIPWAY_CLUSTER_BIN", "slipway-cluster")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("slipway-cluster %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// leash is a process that takes a cluster down when this one lets go of a pipe, which it also
// does when it is killed, times out or panics.
type leash struct {
	pipe io.Closer
	cmd  *exec.Cmd
	out  bytes.Buffer
}

func newLeash(dir string) (*leash, error) {
	bin, err := binary("SLIPWAY_CLUSTER_BIN", "slipway-cluster")
	if err != nil {
		return nil, err
	}
	l := &leash{cmd: exec.Command(bin, "down", "--dir", dir, "--when-stdin-ends")}
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.out
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for us, not for it
	if l.pipe, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return l, l.cmd.Start()
}

// release lets go, and waits until the cluster is gone.
func (l *leash) release() error {
	if err := l.pipe.Close(); err != nil {
		return err
	}
	if err := l.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, l.out.String())
	}
	return nil
}

// namespace makes a namespace for one test and removes it with the test.
func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	if len(name) > 40 {
		name = name[:40]
	}
	ns, err := c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := c.client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Logf("namespace %s: %v", ns.Name, err)
		}
	})
	// Pods are refused until the controller manager has made the namespace's ServiceAccount.
	eventually(t, 10*time.Second, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	return ns.Name
}

// eventually calls check until it returns nil; the test fails with its last error.
func eventually(t *testing.T, limit time.Duration, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %s: %v", limit, err)
		case <-tick.C:
		}
	}
}

// Command demo shows slipway on this machine: a registry, a Kubernetes, and
// examples/shop built, rolled out and proven. "demo up" starts what is missing
// and runs the example; "demo down" takes away what it started.
//
// # Owns
//
// The folder slipway-demo-UID among the temporary files, and the processes that
// are named in it.
//
// # May touch
//
// Ports of loopback, and through slipway-cluster what that says. The cluster
// that KUBECONFIG names, if it answers: then no other is started.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	d := &demo{dir: filepath.Join(os.TempDir(), fmt.Sprintf("slipway-demo-%d", os.Getuid())), registry: "127.0.0.1:5000"}
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "up":
		err = d.up(ctx)
	case len(os.Args) == 2 && os.Args[1] == "down":
		err = d.down(ctx)
	default:
		err = errors.New("want up or down")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A demo is what runs on this machine, or is to run.
type demo struct {
	dir      string // state; short, for sockets lie in it
	registry string
}

// say tells the user what is done, and why.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "\n== "+format+"\n", args...) }

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) up(ctx context.Context) error {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	kubeconfig, err := d.cluster(ctx)
	if err != nil {
		return err
	}
	if err := copyFile("/bin/busybox", "examples/shop/base/busybox"); err != nil {
		return fmt.Errorf("the base image of the example is Debian's busybox-static: %w", err)
	}
	args := []string{"run", "-f", "examples/shop/slipway.yaml", "-e", "staging"}
	say("bin/slipway %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "bin/slipway", args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "SHOP_REGISTRY="+d.registry+"/shop")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		return err
	}
	if err := agree(ctx, kubeconfig); err != nil {
		return err
	}
	say("run it again, and nothing has to change: make demo\n   look around: KUBECONFIG=%s kubectl -n shop-staging get pods\n   break it: edit examples/shop/web/Dockerfile, make demo\n   take it all away: make demo-down", kubeconfig)
	return nil
}

// serve starts the registry, unless it runs.
func (d *demo) serve(ctx context.Context) error {
	if answers(ctx, d.registry) {
		say("a registry answers at %s", d.registry)
		return nil
	}
	say("starting a registry at %s, for nothing here has one", d.registry)
	log, err := os.Create(d.path("registry.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("bin/slipway", "registry", "serve", "--addr", d.registry, "--dir", d.path("registry"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it stays when we go
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(d.path("registry.pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for !answers(limit, d.registry) {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-limit.Done():
			return fmt.Errorf("the registry does not answer (its log is %s)", log.Name())
		}
	}
	return cmd.Process.Release()
}

func answers(ctx context.Context, addr string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// cluster returns the kubeconfig of a cluster that answers: the user's, or one
// that it starts.
func (d *demo) cluster(ctx context.Context) (string, error) {
	if file := os.Getenv("KUBECONFIG"); file != "" {
		if _, err := client(file); err == nil {
			say("using the cluster of KUBECONFIG=%s (its nodes must be able to pull from %s)", file, d.registry)
			return file, nil
		}
	}
	say("starting a Kubernetes on this machine, for KUBECONFIG names none that answers")
	if _, err := os.Stat("bin/slipway-cluster"); err != nil {
		say("compiling it first: that takes 5 to 15 minutes, once")
	}
	if err := d.command(ctx, "make", "--no-print-directory", "bin/slipway-cluster").Run(); err != nil {
		return "", err
	}
	cmd := d.root(ctx, "bin/slipway-cluster", "up", "--dir", d.path("cluster"), "--node", "kubelet", "--registry", d.registry)
	cmd.Stdout = nil
	if err := cmd.Run(); err != nil {
		return "", err
	}
	// The kubeconfig is root's; the demo runs as whoever called it.
	own := d.path("kubeconfig")
	out, err := d.output(ctx, "cat", d.path("cluster/kubeconfig"))
	if err != nil {
		return "", err
	}
	return own, os.WriteFile(own, out, 0o600)
}

// client returns a client for a cluster that answers.
func client(kubeconfig string) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Timeout = 5 * time.Second
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	_, err = c.Discovery().ServerVersion()
	return c, err
}

// agree prints what the cluster itself says that its pods run.
func agree(ctx context.Context, kubeconfig string) error {
	c, err := client(kubeconfig)
	if err != nil {
		return err
	}
	pods, err := c.CoreV1().Pods("shop-staging").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	say("what the cluster itself reports")
	for _, p := range pods.Items {
		for _, s := range p.Status.ContainerStatuses {
			fmt.Printf("%-28s %s\n", p.Name, s.ImageID)
		}
	}
	return nil
}

func (d *demo) down(ctx context.Context) error {
	var errs []error
	if b, err := os.ReadFile(d.path("registry.pid")); err == nil {
		pid, err := strconv.Atoi(string(b))
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(cmdline), d.path("registry")) { // still ours
			errs = append(errs, syscall.Kill(pid, syscall.SIGTERM))
		}
	}
	if _, err := os.Stat(d.path("cluster")); err == nil {
		errs = append(errs, d.root(ctx, "bin/slipway-cluster", "down", "--dir", d.path("cluster"), "--purge").Run())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	say("the registry and the cluster of the demo are gone")
	return nil
}

func (d *demo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr, cmd.Stdin = os.Stderr, os.Stderr, os.Stdin
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}

// root returns a command that runs as root: a node needs it.
func (d *demo) root(ctx context.Context, name string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		return d.command(ctx, name, args...)
	}
	return d.command(ctx, "sudo", append([]string{name}, args...)...)
}

func (d *demo) output(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := d.root(ctx, name, args...)
	cmd.Stdout = nil
	return cmd.Output()
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func upCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("up", flag.ContinueOnError)
	var s settings
	fs.StringVar(&s.Node, "node", kwokNode, "kwok (played) or kubelet (real; needs root)")
	fs.IntVar(&s.APIPort, "api-port", 0, "port of the API server, the others follow it; 0: 17440 with kwok, 17460 with kubelet")
	fs.Func("registry", "127.0.0.1:PORT of a registry that speaks plain HTTP (repeatable)", func(v string) error {
		s.Registries = append(s.Registries, v)
		return nil
	})
	l, err := dirFlag(fs, args, stderr)
	if err != nil {
		return err
	}
	if s.APIPort == 0 {
		s.APIPort = defaultAPIPort(s.Node)
	}
	if err := s.validate(); err != nil {
		return err
	}
	lock, err := l.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	say := func(format string, a ...any) { fmt.Fprintf(stderr, format+"\n", a...) }
	if err := ensure(ctx, l, s, say); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "export KUBECONFIG=%s\n", l.kubeconfig())
	return nil
}

// ensure makes the cluster run: it leaves one that runs alone, and replaces what is left of one
// that does not.
func ensure(ctx context.Context, l layout, s settings, say func(string, ...any)) error {
	running, err := processes(l)
	if err != nil {
		return err
	}
	_, err = os.Stat(l.run())
	leftovers := len(running) > 0 || err == nil
	if have, err := loadSettings(l); err == nil && len(running) > 0 {
		switch health := healthy(ctx, l, have, running); {
		case health == nil && have.String() == s.String():
			say("already up: %s", s)
			return nil
		case health == nil:
			return fmt.Errorf("already up with other settings: %s (slipway-cluster down --dir %s first)", have, l.dir)
		default:
			say("broken, starting again: %v", health)
		}
	}
	if leftovers {
		if err := down(ctx, l); err != nil {
			return err
		}
	}
	if s.Node == kubeletNode {
		if err := checkMachine(); err != nil {
			return err
		}
		owner, err := bridgeOwner()
		if err != nil {
			return err
		}
		if owner != "" && owner != l.dir {
			return fmt.Errorf("this machine already is the node of the cluster in %[1]s (slipway-cluster down --dir %[1]s)", owner)
		}
		if err := refuseForeignPods(); err != nil {
			return err
		}
	}
	if err := s.checkPorts(); err != nil {
		return err
	}
	if err := start(ctx, l, s, say); err != nil {
		if cleanup := down(ctx, l); cleanup != nil {
			err = errors.Join(err, fmt.Errorf("and cleaning up: %w", cleanup))
		}
		return err
	}
	return nil
}

// healthy returns nil if a cluster with these processes works.
func healthy(ctx context.Context, l layout, s settings, running map[int]string) error {
	want := []string{controlPlane}
	if s.Node == kubeletNode {
		want = append(want, nodeInit, kubeletInstance)
	}
	have := slices.Collect(maps.Values(running))
	for _, name := range want {
		if !slices.Contains(have, name) {
			return fmt.Errorf("no %s process", name)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errors.New("5 s have passed"))
	defer cancel()
	return waitForNode(ctx, l, func() error { return nil })
}

// start starts all processes and waits until the node is ready.
func start(ctx context.Context, l layout, s settings, say func(string, ...any)) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("2 minutes have passed"))
	defer cancel()
	for _, dir := range []string{l.run(), filepath.Dir(l.log("any"))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := s.save(l); err != nil {
		return err
	}
	if err := writePKI(l, s); err != nil {
		return err
	}
	if s.Node == kubeletNode {
		if err := addBridge(ctx, l); err != nil {
			return err
		}
		if err := makeMountPoints(l); err != nil {
			return err
		}
	}
	plane, err := startDaemon(l, controlPlane, 0)
	if err != nil {
		return err
	}
	daemons := []daemon{plane}
	if s.Node == kubeletNode {
		node, err := startDaemon(l, nodeInit, syscall.CLONE_NEWNS|syscall.CLONE_NEWPID)
		if err != nil {
			return err
		}
		daemons = append(daemons, node)
	}
	alive := func() error {
		for _, d := range daemons {
			if err := d.check(l); err != nil {
				return err
			}
		}
		return nil
	}
	if err := waitForNode(ctx, l, alive); err != nil {
		return err
	}
	say("up after %.1f s: %s", time.Since(began).Seconds(), s)
	return nil
}

// waitForNode waits until pods can be created and scheduled, as long as alive returns nil.
func waitForNode(ctx context.Context, l layout, alive func() error) error {
	client, err := newClient(l)
	if err != nil {
		return err
	}
	err = poll(ctx, 50*time.Millisecond, "the default ServiceAccount", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, alive()
	})
	if err != nil {
		return err
	}
	return poll(ctx, 50*time.Millisecond, "the node to be ready", func(ctx context.Context) (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return false, alive()
		}
		ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
		return ready && len(node.Spec.Taints) == 0, alive()
	})
}

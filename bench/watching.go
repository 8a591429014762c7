package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A watch is a command whose lines are read as they come, with the time of each.
type watch struct {
	cmd   *exec.Cmd
	ended chan struct{}
	mu    sync.Mutex
	lines []line
}

type line struct {
	text string
	at   time.Time
}

func watching(ctx context.Context, dir string, env []string, args ...string) (*watch, error) {
	w := &watch{cmd: exec.CommandContext(ctx, args[0], args[1:]...), ended: make(chan struct{})}
	w.cmd.Dir, w.cmd.Env = dir, append(os.Environ(), env...)
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.cmd.Stderr = w.cmd.Stdout
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(w.ended)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			w.mu.Lock()
			w.lines = append(w.lines, line{scan.Text(), time.Now()})
			w.mu.Unlock()
		}
	}()
	return w, nil
}

// end waits for the command, whatever its exit code is.
func (w *watch) end() {
	<-w.ended
	_ = w.cmd.Wait()
}

func (w *watch) stop() {
	_ = w.cmd.Process.Kill()
	w.end()
}

// first returns when a line with all words was first read.
func (w *watch) first(words ...string) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(l.text, word) }) {
			return l.at, true
		}
	}
	return time.Time{}, false
}

func (w *watch) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all strings.Builder
	for _, l := range w.lines {
		all.WriteString(l.text + "\n")
	}
	return all.String()
}

// workload is a Deployment of one pod that the played node treats as an annotation says.
func workload(name, annotation string) string {
	return strings.NewReplacer("NAME", name, "ANNOTATION", annotation).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}, annotations: {ANNOTATION}}
    spec: {containers: [{name: app, image: example.com/app:v1, readinessProbe: {httpGet: {path: /, port: 80}}}]}
---
`)
}

// rollout writes a kustomization of workloads, and makes a namespace for it.
func (c *cluster) rollout(ctx context.Context, namespace, manifests string) error {
	dir := filepath.Join(c.b.Dir, "k")
	return errors.Join(os.MkdirAll(dir, 0o755), c.namespace(ctx, namespace),
		os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(manifests), 0o644),
		os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [all.yaml]\n"), 0o644))
}

// lags rolls out 50 Deployments that become ready one after the other, and asks how
// long it is reported after watches have shown that the pod is ready and that its
// Deployment counts it. (The controller counts late when it has much to do.)
func lags(ctx context.Context, b *Bench) error {
	const n = 50
	c, err := b.cluster(ctx)
	if err != nil {
		return err
	}
	env := []string{"KUBECONFIG=" + c.kubeconfig}
	var all strings.Builder
	for i := range n {
		all.WriteString(workload(fmt.Sprintf("w%dx", i), fmt.Sprintf("e2e.slipway.dev/ready-after: %dms", 3000+i*150)))
	}
	late := map[string][]float64{}
	for round := range 3 {
		for _, who := range []string{"slipway", "kubectl rollout status × 50"} {
			ns := fmt.Sprintf("%s-%d", who[:7], round)
			if err := c.rollout(ctx, ns, all.String()); err != nil {
				return err
			}
			pods, err := watching(ctx, b.Dir, env, c.kubectl("get", "pods", "-n", ns, "-w", "-o", `jsonpath={.metadata.labels.app} {.status.conditions[?(@.type=="Ready")].status}{"\n"}`)...)
			if err != nil {
				return err
			}
			counts, err := watching(ctx, b.Dir, env, c.kubectl("get", "deployments", "-n", ns, "-w", "-o", `jsonpath={.metadata.name} {.status.availableReplicas}{"\n"}`)...)
			if err != nil {
				return err
			}
			told := make([]*watch, n)
			if who == "slipway" {
				w, err := watching(ctx, b.Dir, env, b.Slipway, "deploy", "-k", "k", "-n", ns, "--name", "lags", "--progress", "plain")
				if err != nil {
					return err
				}
				for i := range told {
					told[i] = w
				}
			} else {
				if err := b.do(ctx, b.Dir, c.kubectl("apply", "--server-side", "-n", ns, "-k", "k")...); err != nil {
					return err
				}
				for i := range told {
					if told[i], err = watching(ctx, b.Dir, env, c.kubectl("rollout", "status", "-n", ns, fmt.Sprintf("deployment/w%dx", i), "--timeout", "60s")...); err != nil {
						return err
					}
				}
			}
			for _, w := range told {
				<-w.ended
			}
			pods.stop()
			counts.stop()
			for i, w := range told {
				name := fmt.Sprintf("w%dx", i)
				shown, ok := pods.first(name + " True")
				counted, also := counts.first(name + " 1")
				if counted.After(shown) {
					shown = counted
				}
				said, heard := w.first(name, "1/1 ready")
				if who != "slipway" {
					said, heard = w.first("successfully rolled out")
				}
				if !ok || !also || !heard {
					return fmt.Errorf("%s: %s was shown %v and reported %v: %s", who, name, ok && also, heard, w.text())
				}
				late[who] = append(late[who], said.Sub(shown).Seconds())
			}
		}
	}
	for _, who := range []string{"slipway", "kubectl rollout status × 50"} {
		slices.Sort(late[who])
		at := func(q float64) float64 { return 1e3 * late[who][int(math.Ceil(q*float64(len(late[who]))))-1] }
		b.note("%s: reported %.0f ms (median) and %.0f ms (p99) after watches showed it, %d workloads.", who, at(0.5), at(0.99), len(late[who]))
		if who == "slipway" {
			b.aim("p99 of ready → reported, ms", at(0.99), 100)
		}
	}
	return nil
}

// causes rolls out a pod whose image cannot be pulled, and asks how long after the
// cluster shows it the cause is named.
func causes(ctx context.Context, b *Bench) error {
	c, err := b.cluster(ctx)
	if err != nil {
		return err
	}
	env := []string{"KUBECONFIG=" + c.kubeconfig}
	var named []float64
	for round := range min(b.Runs, 5) {
		ns := fmt.Sprintf("causes-%d", round)
		if err := c.rollout(ctx, ns, workload("web", "e2e.slipway.dev/fail: image-pull")); err != nil {
			return err
		}
		pods, err := watching(ctx, b.Dir, env, c.kubectl("get", "pods", "-n", ns, "-w", "-o", `jsonpath={.status.containerStatuses[0].state.waiting.reason}{"\n"}`)...)
		if err != nil {
			return err
		}
		w, err := watching(ctx, b.Dir, env, b.Slipway, "deploy", "-k", "k", "-n", ns, "--name", "causes", "--progress", "plain", "--timeout", "60s")
		if err != nil {
			return err
		}
		w.end()
		pods.stop()
		shown, ok := pods.first("ErrImagePull")
		said, heard := w.first("image-pull")
		if !ok || !heard {
			return fmt.Errorf("the cluster showed it: %v; it was named: %v: %s", ok, heard, w.text())
		}
		named = append(named, said.Sub(shown).Seconds())
	}
	slices.Sort(named)
	b.note("slipway: named %.1f s (median) and %.1f s (most) after the cluster showed it, %d runs.", named[len(named)/2], named[len(named)-1], len(named))
	chart := filepath.Join(b.Dir, "chart")
	if err := errors.Join(c.namespace(ctx, "causes-helm"), os.MkdirAll(filepath.Join(chart, "templates"), 0o755),
		os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: web\nversion: 0.1.0\n"), 0o644),
		os.Rename(filepath.Join(b.Dir, "k", "all.yaml"), filepath.Join(chart, "templates", "all.yaml"))); err != nil {
		return err
	}
	for _, other := range [][]string{
		c.kubectl("rollout", "status", "-n", "causes-0", "deployment/web", "--timeout", "30s"),
		{filepath.Join(b.Peers, "helm"), "install", "web", chart, "-n", "causes-helm", "--wait", "--timeout", "30s"},
	} {
		begin := time.Now()
		w, err := watching(ctx, b.Dir, env, other...)
		if err != nil {
			return err
		}
		w.end()
		text := strings.TrimSpace(w.text())
		b.note("%s, for at most 30 s: ended after %.0f s with %q.", filepath.Base(other[0]), time.Since(begin).Seconds(), text[strings.LastIndexByte(text, '\n')+1:])
	}
	b.aim("seconds from shown to named", named[len(named)-1], 3)
	return nil
}

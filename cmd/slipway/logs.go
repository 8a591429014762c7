package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// tailing says which logs are wanted.
type tailing struct {
	container string
	tail      int64
	previous  bool
	follow    bool
}

// A logLine is one line that a container wrote.
type logLine struct {
	Pod       string `json:"pod"`
	Container string `json:"container"`
	Line      string `json:"line"`
}

func (a *app) logs() *cobra.Command {
	var l tailing
	c := &cobra.Command{
		Use:   "logs",
		Short: "Print what the pods of a deployment write",
		Long: `Logs prints what the pods write of all workloads that were shipped last, each line
after the names of its pod and container.`,
		Example: `  slipway logs shop/rollout -n shop
  slipway logs shop/rollout -n shop --follow --container web`,
	}
	f := c.Flags()
	f.StringVarP(&l.container, "container", "c", "", "only the container of this name")
	f.Int64Var(&l.tail, "tail", 20, "how many of the last lines of each container; 0 means all")
	f.BoolVarP(&l.previous, "previous", "p", false, "of the container's run before the present one")
	f.BoolVar(&l.follow, "follow", false, "go on until it is interrupted")
	return a.onDeployment(c, func(ctx context.Context, w *world, d kube.Deployment) error {
		return a.tail(ctx, w, d, l)
	})
}

// tail prints logs of all containers at once.
func (a *app) tail(ctx context.Context, w *world, d kube.Deployment, l tailing) error {
	revisions, err := w.cluster.Revisions(ctx, d.Set)
	if err != nil {
		return err
	}
	if len(revisions) == 0 {
		return usagef("no revision of %s is remembered, so nothing says what its workloads are", d.Set)
	}
	var mu sync.Mutex
	print := func(line logLine) error {
		mu.Lock()
		defer mu.Unlock()
		if a.flags.output == "json" {
			return encode(a.stdout, line)
		}
		_, err := fmt.Fprintf(a.stdout, "%s/%s  %s\n", line.Pod, line.Container, report.Tame(line.Line))
		return err
	}
	var streams []func() error
	for _, o := range revisions[0].Set.Objects {
		if !deploy.HasPodTemplate(o) {
			continue
		}
		pods, err := w.cluster.Pods(ctx, o.In(cmp.Or(o.Namespace(), d.Set.Namespace)))
		if err != nil {
			return err
		}
		for _, pod := range pods {
			for _, c := range deploy.Containers(pod) {
				if l.container == "" && !c.Init || l.container == c.Name() {
					streams = append(streams, func() error { return copyLog(ctx, w.cluster, pod, c.Name(), l, print) })
				}
			}
		}
	}
	if len(streams) == 0 {
		fmt.Fprintf(a.stderr, "%s has no pods with such a container now\n", d.Set)
	}
	errs := make([]error, len(streams))
	var all sync.WaitGroup
	for i, stream := range streams {
		if !l.follow { // one after the other, so that lines of a pod stay together
			errs[i] = stream()
			continue
		}
		all.Go(func() { errs[i] = stream() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// copyLog prints what one container wrote.
func copyLog(ctx context.Context, cluster *kube.Cluster, pod deploy.Object, container string, l tailing, print func(logLine) error) error {
	open := cluster.Logs
	if l.follow {
		open = cluster.Follow
	}
	stream, err := open(ctx, pod.Namespace(), pod.Name(), container, l.previous, l.tail)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewReader(stream)
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			if failed := print(logLine{pod.Name(), container, trimLine(text)}); failed != nil {
				return failed
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &deploy.ClusterError{Doing: "read logs of " + pod.String(), Err: err}
		}
	}
}

// trimLine returns text without the end of the line.
func trimLine(text string) string {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return text
}

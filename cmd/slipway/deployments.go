package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// deployments are the commands that need a cluster and nothing else: no
// pipeline file, no checkout.
func (a *app) deployments() []*cobra.Command {
	return []*cobra.Command{a.status(), a.history(), a.rollback(), a.hold(), a.unlock(), a.logs()}
}

// onDeployment makes c a command about one deployment, which its argument
// names; where there is one alone, it needs none.
func (a *app) onDeployment(c *cobra.Command, do func(ctx context.Context, w *world, d kube.Deployment) error) *cobra.Command {
	c.Use += " [DEPLOYMENT]"
	c.ValidArgsFunction = a.completeDeployment
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s takes one deployment, but was given %q, too (see %s --help)", c.CommandPath(), args[1], c.CommandPath())
		}
		w := a.world()
		d, err := a.deployment(c.Context(), w.cluster, strings.Join(args, ""))
		if err != nil {
			return err
		}
		return do(c.Context(), w, d)
	}
	a.contextFlags(c, "namespace of the deployment (default: that of the context)")
	a.outputFlag(c, "json")
	return c
}

// deployment finds one by its name, "pipeline/name" or the name alone.
func (a *app) deployment(ctx context.Context, cluster *kube.Cluster, name string) (kube.Deployment, error) {
	namespace, err := cluster.DefaultNamespace()
	if err != nil {
		return kube.Deployment{}, err
	}
	all, err := cluster.Deployments(ctx, namespace)
	if err != nil {
		return kube.Deployment{}, err
	}
	found := slices.DeleteFunc(slices.Clone(all), func(d kube.Deployment) bool {
		return name != "" && d.Set.String() != name && d.Set.Name != name
	})
	if pipe, own, ok := strings.Cut(name, "/"); ok && len(found) == 0 {
		// Its first run may have died before it wrote more than its Lease.
		d := kube.Deployment{Set: deploy.Set{Pipeline: pipe, Name: own, Namespace: namespace}}
		if lock, err := cluster.Locked(ctx, d.Set); err != nil || lock != nil {
			return d, err
		}
	}
	names := deploymentNames(all)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(all) == 0:
		return kube.Deployment{}, usagef("there is no deployment in namespace %s (name another with -n; slipway status -A lists all)", namespace)
	case len(found) == 0:
		return kube.Deployment{}, usagef("namespace %s has no deployment %s%s (it has %s)", namespace, name, pipeline.Nearest(name, names), strings.Join(names, ", "))
	}
	return kube.Deployment{}, usagef("which deployment? (namespace %s has %s)", namespace, strings.Join(deploymentNames(found), ", "))
}

func deploymentNames(all []kube.Deployment) []string {
	var names []string
	for _, d := range all {
		names = append(names, d.Set.String())
	}
	return names
}

// completeDeployment offers the names of deployments to a shell.
func (a *app) completeDeployment(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster := a.world().cluster
	namespace, err := cluster.DefaultNamespace()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Second)
	defer cancel()
	all, err := cluster.Deployments(ctx, namespace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return deploymentNames(all), cobra.ShellCompDirectiveNoFileComp
}

// answer writes v as JSON, or text, as -o asks for.
func (a *app) answer(v any, text func() string) error {
	if a.flags.output == "json" {
		return encode(a.stdout, v)
	}
	var b strings.Builder
	for line := range strings.Lines(text()) {
		b.WriteString(report.Tame(strings.TrimRight(line, "\n")) + "\n") // it comes from the cluster
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

// ago says when something was, for people.
func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := time.Since(t).Round(time.Second)
	unit := func(n int, what string) string {
		return fmt.Sprintf("%d %s%s ago", n, what, strings.Repeat("s", min(1, n-1)))
	}
	switch {
	case d < 0:
		return t.UTC().Format(time.DateTime)
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return unit(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return unit(int(d.Hours()), "hour")
	}
	return unit(int(d.Hours()/24), "day")
}

// short returns the first digits of a commit or digest.
func short(s string) string {
	s = strings.TrimPrefix(s, "sha256:")
	return cmp.Or(s[:min(len(s), 10)], "-")
}

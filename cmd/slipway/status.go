package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

// glance is how long status watches what is on its way.
const glance = 5 * time.Second

// A status is what runs of a deployment, and whether it is what was shipped.
type status struct {
	Deployment  string           `json:"deployment"`
	Namespace   string           `json:"namespace"`
	Environment string           `json:"environment,omitempty"`
	Shipped     *revision        `json:"shipped,omitempty"` // the newest revision; nil: none is remembered
	Proven      bool             `json:"proven"`            // now, of all that was pinned
	Verdicts    []deploy.Verdict `json:"verdicts,omitempty"`
	Drift       []drift          `json:"drift,omitempty"`
	Hold        *deploy.Hold     `json:"hold,omitempty"`
	Lock        *deploy.Lock     `json:"lock,omitempty"`
}

// A drift is an object that is no longer what was shipped.
type drift struct {
	Object string   `json:"object"`
	Gone   bool     `json:"gone,omitempty"`
	Fields []string `json:"fields,omitempty"` // what bringing it back would change
}

// asShipped reports whether all is as it was shipped, and proven to be.
func (s status) asShipped() bool {
	return s.Shipped != nil && s.Shipped.State == deploy.StateProven && s.Proven && len(s.Drift) == 0
}

func (a *app) status() *cobra.Command {
	var all, detailed bool
	c := &cobra.Command{
		Use:   "status [DEPLOYMENT]",
		Short: "Say what runs, and whether it is what was shipped",
		Long: `Status asks the cluster which revision of each deployment was shipped last, by
whom and from which commit; whether pods run exactly that now; and which fields
are no longer as they were shipped. It changes nothing, and needs no checkout.`,
		Example: `  slipway status -n shop
  slipway status shop/rollout -n shop -o json`,
		ValidArgsFunction: a.completeDeployment,
	}
	f := c.Flags()
	f.BoolVarP(&all, "all-namespaces", "A", false, "deployments in all namespaces")
	f.BoolVar(&detailed, "detailed-exitcode", false, fmt.Sprintf("exit with %d when something is not as it was shipped", exitChanges))
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return noArgs(c, args[1:])
		}
		w := a.world()
		found, err := a.wanted(c.Context(), w, args, all)
		if err != nil {
			return err
		}
		statuses := []status{}
		for _, d := range found {
			s, err := statusOf(c.Context(), w, d)
			if err != nil {
				return err
			}
			statuses = append(statuses, s)
		}
		if err := a.answer(statuses, func() string { return statusText(statuses) }); err != nil {
			return err
		}
		if detailed && slices.ContainsFunc(statuses, func(s status) bool { return !s.asShipped() }) {
			return &toldError{code: exitChanges}
		}
		return nil
	}
	a.contextFlags(c, "namespace of the deployments (default: that of the context)")
	a.outputFlag(c, "json")
	return a.registryFlags(c)
}

// wanted finds the deployments that a command is about.
func (a *app) wanted(ctx context.Context, w *world, args []string, all bool) ([]kube.Deployment, error) {
	if len(args) > 0 && !all {
		d, err := a.deployment(ctx, w.cluster, args[0])
		return []kube.Deployment{d}, err
	}
	namespace := ""
	if !all {
		var err error
		if namespace, err = w.cluster.DefaultNamespace(); err != nil {
			return nil, err
		}
	}
	found, err := w.cluster.Deployments(ctx, namespace)
	if len(args) > 0 {
		found = slices.DeleteFunc(found, func(d kube.Deployment) bool { return d.Set.String() != args[0] && d.Set.Name != args[0] })
	}
	if err == nil && len(found) == 0 && !all {
		fmt.Fprintf(a.stderr, "there is no deployment in namespace %s (name another with -n, or see all with -A)\n", namespace)
	}
	return found, err
}

// statusOf reads the cluster, and changes nothing.
func statusOf(ctx context.Context, w *world, d kube.Deployment) (status, error) {
	s := status{Deployment: d.Set.String(), Namespace: d.Set.Namespace, Environment: d.Set.Environment}
	if d.Hold != nil && !d.Hold.Over(time.Now()) {
		s.Hold = d.Hold
	}
	revisions, err := w.cluster.Revisions(ctx, d.Set)
	if err != nil {
		return s, err
	}
	if s.Lock, err = w.cluster.Locked(ctx, d.Set); err != nil || len(revisions) == 0 {
		return s, err
	}
	newest := newRevision(revisions[0])
	s.Shipped = &newest
	set := revisions[0].Set
	set.Objects = slices.DeleteFunc(slices.Clone(set.Objects), func(o deploy.Object) bool { return slices.Contains(revisions[0].Hidden, o.String()) })
	if len(set.Objects) == 0 {
		return s, nil
	}
	drifted, err := w.cluster.Drift(ctx, set)
	if err != nil {
		return s, err
	}
	for _, c := range drifted {
		o := drift{Object: c.Object.String(), Gone: c.Op == deploy.Create}
		if c.Diff != "" {
			o.Fields = strings.Split(c.Diff, "\n")
		}
		s.Drift = append(s.Drift, o)
	}
	s.Verdicts, err = w.tools.Rollout.Wait(ctx, set, nil, glance, nil)
	var red *deploy.RolloutError
	if err != nil && !errors.As(err, &red) {
		return s, err
	}
	s.Verdicts = slices.DeleteFunc(s.Verdicts, func(v deploy.Verdict) bool { return v.Code == deploy.Applied })
	s.Proven = err == nil && !slices.ContainsFunc(s.Verdicts, func(v deploy.Verdict) bool { return !v.Code.OK() })
	return s, nil
}

func statusText(statuses []status) string {
	var b strings.Builder
	for i, s := range statuses {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s.text())
	}
	return b.String()
}

// text says s to a person.
func (s status) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s: ", s.Deployment, s.Namespace)
	switch {
	case s.Shipped == nil:
		b.WriteString("no revision is remembered\n")
	case s.asShipped():
		fmt.Fprintf(&b, "revision %d, as it was shipped\n", s.Shipped.Number)
	case s.Shipped.State == deploy.StatePending:
		fmt.Fprintf(&b, "revision %d, whose run goes on, or did not end\n", s.Shipped.Number)
	case s.Shipped.State == deploy.StateFailed:
		fmt.Fprintf(&b, "revision %d, which failed\n", s.Shipped.Number)
	case len(s.Drift) > 0:
		fmt.Fprintf(&b, "revision %d, but not as it was shipped\n", s.Shipped.Number)
	default:
		fmt.Fprintf(&b, "revision %d, and it is not proven now\n", s.Shipped.Number)
	}
	if r := s.Shipped; r != nil {
		fmt.Fprintf(&b, "  shipped %s by %s, run %s%s\n", ago(r.Began), r.By, r.Run, strings.TrimRight("  "+r.URL, " "))
		if r.Commit != "" {
			fmt.Fprintf(&b, "  commit %s\n", r.commit())
		}
		if r.note() != "" {
			fmt.Fprintf(&b, "  %s\n", r.note())
		}
	}
	for _, v := range s.Verdicts {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	for _, d := range s.Drift {
		fmt.Fprintf(&b, "  drift: %s%s\n", d.Object, map[bool]string{true: " is gone"}[d.Gone])
		for _, f := range d.Fields {
			fmt.Fprintf(&b, "    %s\n", f)
		}
	}
	if s.Hold != nil {
		fmt.Fprintf(&b, "  %s\n", s.Hold)
	}
	if s.Lock != nil {
		state := "locked by"
		if s.Lock.Expired(time.Now()) {
			state = "its Lease was left by"
		}
		fmt.Fprintf(&b, "  %s %s, since %s\n", state, s.Lock.Run, ago(s.Lock.Since))
	}
	return b.String()
}

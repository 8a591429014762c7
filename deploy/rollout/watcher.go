package rollout

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// A Watcher stays with a rollout until it is proven or has failed. It only reads.
type Watcher struct {
	Cluster  Cluster
	Resolver Resolver      // asks the registry; nil: only the exact digest is a proof
	Linger   time.Duration // how long the others may go on after the first failure; 0: 10 seconds
	Log      *slog.Logger  // for developers; nil: discarded
}

const (
	defaultLinger = 10 * time.Second
	forEver       = time.Duration(1<<63 - 1)
)

// Wait waits until every workload of set is proven or has failed, and returns a
// verdict for each object, in the order of set. watch, which may be nil, hears
// how far each workload is, whenever that changes, one call at a time. A timeout
// of zero or less is none; the Deployments' own progress deadlines hold anyway.
//
// What must end well: every workload that changes says was created or
// configured, unless set has a [deploy.Readiness] that says otherwise, and every workload in which set pins an image, changed or not,
// because green means that the pinned digest runs. All else was left alone: it
// gets a verdict from what can be seen when the rest is done, and cannot fail
// the rollout; its verdict says LeftAlone.
//
// Workloads are judged by their pods of the current revision, counted against
// spec.replicas as the API server holds it. Beyond that no ready pod of an
// earlier revision may be left, except below a StatefulSet's partition, and a
// container that no readiness probe vouches for must stay up for five seconds, one
// that has died for ten seconds for each time that it did, up to a minute.
//
// After the first failure the others have Linger to show a cause of their own;
// what is then still on its way gets the code [deploy.Waiting].
//
// The error is a *[deploy.RolloutError] with the failed verdicts, the first
// cause first; a *[deploy.ClusterError] when the cluster forbids what is needed
// or does not answer for half a minute; or the cause of ctx. Verdicts that are
// certain are returned with any of them.
func (w *Watcher) Wait(ctx context.Context, set deploy.Set, changes []deploy.Change, timeout time.Duration, watch func(deploy.Status)) ([]deploy.Verdict, error) {
	works, err := workloads(set, changes)
	if err != nil {
		return nil, err
	}
	v := &vigil{set: set, watch: watch, linger: cmp.Or(w.Linger, defaultLinger), timeout: timeout, answers: map[question]answer{}, exact: w.Resolver == nil}
	for _, work := range works {
		v.tracks = append(v.tracks, &track{workload: work})
	}
	if len(works) == 0 {
		return v.verdicts(), nil
	}
	if _, err := w.Cluster.Dynamic(ctx); err != nil {
		return v.verdicts(), err
	}
	if v.watch == nil {
		v.watch = func(deploy.Status) {}
	}
	log := w.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}

	inner, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	st := newStore(feeds(w.Cluster, works))
	for _, sh := range st.shelves {
		running.Go(func() { sh.feed.run(inner, sh, log) })
	}
	v.errands = &errands{cluster: w.Cluster, resolver: w.Resolver, log: log, running: &running, done: make(chan func())}
	err = v.keep(inner, st)
	if ctx.Err() != nil {
		return v.verdicts(), context.Cause(ctx)
	}
	return v.verdicts(), named(err, serverOf(ctx, w.Cluster))
}

// named puts the server's name into a cluster's error.
func named(err error, server string) error {
	var c *deploy.ClusterError
	if errors.As(err, &c) && c.Server == "" {
		return &deploy.ClusterError{Server: server, Doing: c.Doing, Err: c.Err}
	}
	return err
}

// verdicts returns a verdict for each object of the set, in its order.
func (v *vigil) verdicts() []deploy.Verdict {
	at := map[string]deploy.Verdict{}
	for _, t := range v.tracks {
		at[addressIn(v.set, t.object)] = t.verdict
	}
	var all []deploy.Verdict
	for _, o := range v.set.Objects {
		verdict, judged := at[addressIn(v.set, o)]
		switch {
		case !judged:
			verdict = deploy.Verdict{Object: o.String(), Code: deploy.Applied, File: o.File, Line: o.Line}
		case verdict.Code == "":
			continue
		}
		all = append(all, verdict)
	}
	return all
}

// failure returns the error that the failed verdicts make, or nil.
func (v *vigil) failure() error {
	failed := slices.DeleteFunc(slices.Clone(v.tracks), func(t *track) bool { return !t.verdict.Failed() })
	if len(failed) == 0 {
		return nil
	}
	slices.SortStableFunc(failed, func(a, b *track) int { return cmp.Or(a.fell.Compare(b.fell), cmp.Compare(a.rank, b.rank)) })
	e := &deploy.RolloutError{}
	for _, t := range failed {
		e.Verdicts = append(e.Verdicts, t.verdict)
	}
	return e
}

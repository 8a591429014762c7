package kube

import (
	"context"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// A Turn is the right to change one deployment; see [Cluster.Lock].
type Turn struct {
	cluster *Cluster
	run     deploy.Run
	say     func(object, message string)
	record  *record // of what was applied last; nil: it is as it was
	set     deploy.Set
	planned []deploy.Change
}

// Lock calls do while it holds the Lease of the deployment, so that nobody else
// changes it meanwhile. Before that it makes the namespace, if planned lists
// that, and the Lease itself; watch, which may be nil, hears of it. The context
// of do ends with a *[deploy.LostError] when the Lease is lost. However do ends,
// the Lease is given back.
//
// Nothing is changed, and do is not called, when somebody else holds the Lease
// (*[deploy.LockedError]) or the deployment is to stay as it is (*[deploy.HeldError]).
func (c *Cluster) Lock(ctx context.Context, set deploy.Set, planned []deploy.Change, run deploy.Run, watch func(deploy.Status), do func(context.Context, *Turn) error) (err error) {
	if _, err := c.connected(ctx); err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(object, message string) {
		mu.Lock()
		defer mu.Unlock()
		if watch != nil {
			watch(deploy.Status{Object: object, Message: message})
		}
	}
	if err := c.Held(ctx, set); err != nil {
		return err
	}
	if err := c.settleIn(ctx, set, planned, say); err != nil {
		return err
	}
	held, err := c.acquire(ctx, set, run, func(message string) { say("Lease "+set.Namespace+"/"+parentName(set), message) })
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		if lost := held.keep(inner); lost != nil {
			cancel(lost)
		}
	})
	defer func() {
		cancel(nil)
		renewing.Wait()
		if given := held.release(ctx); given != nil && err == nil {
			err = c.failed(context.WithoutCancel(ctx), "give back the Lease "+set.Namespace+"/"+parentName(set), given)
		}
	}()
	return do(inner, &Turn{cluster: c, run: run, say: say})
}

// settleIn makes the namespace of a deployment, in which its Lease is to lie.
func (c *Cluster) settleIn(ctx context.Context, set deploy.Set, planned []deploy.Change, say func(object, message string)) error {
	i := slices.IndexFunc(planned, func(p deploy.Change) bool {
		return p.Op == deploy.Create && isNamespace(p.Object) && p.Object.Name() == set.Namespace
	})
	if i < 0 {
		return nil
	}
	it := &item{object: planned[i].Object, kind: kind{resource: namespaces()}}
	limited, cancel := c.limit(ctx)
	_, err := c.of(it).Get(limited, set.Namespace, metav1.GetOptions{})
	cancel()
	if err == nil || !apierrors.IsNotFound(err) { // it is there by now, or we may not know
		return nil
	}
	if err := c.patch(ctx, it); err != nil {
		return c.rejected(ctx, it, "apply", err)
	}
	say(it.object.String(), "created")
	return nil
}

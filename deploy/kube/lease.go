package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
)

// The Lease of a deployment has the name of its inventory. It is there only
// while a run changes the deployment, or after one that died while it did.
const (
	// defaultTerm is how long a Lease is good for unless it is renewed.
	defaultTerm = time.Minute
	// renewals is how often a Lease is renewed within its term.
	renewals = 6

	annotationRun = "slipway.dev/run" // a deploy.Run, as JSON
	microTime     = "2006-01-02T15:04:05.000000Z07:00"
	releaseTime   = 4 * time.Second // for giving a Lease back after the run was asked to stop
)

func leases() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
}

func (c *Cluster) term() time.Duration {
	if c.Term > 0 {
		return c.Term
	}
	return defaultTerm
}

// lease is one that we hold.
type lease struct {
	client dynamic.ResourceInterface
	set    deploy.Set
	term   time.Duration
	body   *unstructured.Unstructured // as the server returned it last
}

// acquire takes the Lease of a deployment, also from a holder that let it
// expire. One that somebody holds is a *[deploy.LockedError].
func (c *Cluster) acquire(ctx context.Context, set deploy.Set, run deploy.Run, say func(string)) (*lease, error) {
	l := &lease{client: c.conn.dynamic.Resource(leases()).Namespace(set.Namespace), set: set, term: c.term()}
	wanted, err := l.wanted(run, time.Now())
	if err != nil {
		return nil, err
	}
	doing := "take the Lease " + set.Namespace + "/" + parentName(set)
	limited, cancel := c.limit(ctx)
	defer cancel()
	for {
		l.body, err = settle(limited, l.client, wanted, func(there *unstructured.Unstructured) bool { return lockOf(there) == lockOf(wanted) })
		if !apierrors.IsAlreadyExists(err) {
			return l, c.failed(ctx, doing, err)
		}
		there, err := l.client.Get(limited, wanted.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) { // it was just given back
			continue
		}
		if err != nil {
			return nil, c.failed(ctx, doing, err)
		}
		lock := lockOf(there)
		if !lock.Expired(time.Now()) {
			return nil, &deploy.LockedError{Deployment: set.String(), Lock: lock}
		}
		// Only if nobody else has touched it since we looked.
		over := wanted.DeepCopy()
		over.SetResourceVersion(there.GetResourceVersion())
		l.body, err = l.client.Update(limited, over, metav1.UpdateOptions{FieldManager: Manager})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			continue
		}
		if err == nil {
			say("took over the Lease that " + lock.Run.String() + " let expire")
		}
		return l, c.failed(ctx, doing, err)
	}
}

func (l *lease) wanted(run deploy.Run, now time.Time) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(run)
	if err != nil {
		return nil, err
	}
	labels := map[string]any{}
	for label, value := range marks(l.set) {
		if label != labelPartOf {
			labels[label] = value
		}
	}
	at := now.UTC().Format(microTime)
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
		"metadata": map[string]any{
			"name": parentName(l.set), "namespace": l.set.Namespace, "labels": labels,
			"annotations": map[string]any{annotationRun: string(text)},
		},
		"spec": map[string]any{
			"holderIdentity": run.String(), "leaseDurationSeconds": max(1, int64(l.term/time.Second)),
			"acquireTime": at, "renewTime": at,
		},
	}}, nil
}

// lockOf reads a Lease.
func lockOf(there *unstructured.Unstructured) deploy.Lock {
	o := deploy.Object{Body: there.Object}
	var lock deploy.Lock
	text, _ := o.Field("metadata", "annotations", annotationRun).(string)
	if json.Unmarshal([]byte(text), &lock.Run) != nil || lock.Run == (deploy.Run{}) {
		lock.Run.By, _ = o.Field("spec", "holderIdentity").(string)
	}
	at := func(field string) time.Time {
		text, _ := o.Field("spec", field).(string)
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return there.GetCreationTimestamp().Time
		}
		return t
	}
	seconds, ok := o.Field("spec", "leaseDurationSeconds").(int64)
	if !ok {
		seconds = int64(defaultTerm / time.Second)
	}
	lock.Since, lock.Until = at("acquireTime"), at("renewTime").Add(time.Duration(seconds)*time.Second)
	return lock
}

// keep renews the Lease until ctx ends. It returns why it was lost, or nil.
func (l *lease) keep(ctx context.Context) error {
	renewed := time.Now()
	for pause(ctx, l.term/renewals) == nil {
		limited, cancel := context.WithTimeout(ctx, l.term/renewals)
		began := time.Now()
		err := l.renew(limited, began)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			renewed = began
		case apierrors.IsConflict(err) && l.reread(ctx): // it was renewed, and we did not hear of it
		case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			return &deploy.LostError{Deployment: l.set.String(), Why: l.taker(ctx)}
		case time.Since(renewed) >= l.term-l.term/renewals: // before anybody may think that we are dead
			return &deploy.LostError{Deployment: l.set.String(), Why: fmt.Sprintf("it could not be renewed: %v", plainly(err))}
		}
	}
	return nil
}

func (l *lease) renew(ctx context.Context, now time.Time) error {
	next := l.body.DeepCopy()
	spec, ok := next.Object["spec"].(map[string]any)
	if !ok {
		return errors.New("the Lease has no spec")
	}
	spec["renewTime"] = now.UTC().Format(microTime)
	got, err := l.client.Update(ctx, next, metav1.UpdateOptions{FieldManager: Manager})
	if err == nil {
		l.body = got
	}
	return err
}

// reread takes the Lease as it is in the cluster, and reports whether it is ours
// still: a renewal whose answer was lost looks like one of somebody else.
func (l *lease) reread(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, l.term/renewals)
	defer cancel()
	there, err := l.client.Get(limited, l.body.GetName(), metav1.GetOptions{})
	if err != nil || there.GetUID() != l.body.GetUID() || lockOf(there).Run != lockOf(l.body).Run {
		return false
	}
	l.body = there
	return true
}

// taker says who took the Lease from us.
func (l *lease) taker(ctx context.Context) string {
	there, err := l.client.Get(ctx, l.body.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "somebody unlocked the deployment"
	case err != nil:
		return "somebody changed it"
	}
	return "it is held by " + lockOf(there).Run.String()
}

// release gives the Lease back, unless it is no longer ours. It works after ctx was cancelled.
func (l *lease) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	uid, version := l.body.GetUID(), l.body.GetResourceVersion()
	return unlessGone(l.client.Delete(ctx, l.body.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}))
}

// unlessGone forgives that an object is not there, or is no longer the one that was meant.
func unlessGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// Locked returns who holds the Lease of a deployment, or nil. It changes nothing.
func (c *Cluster) Locked(ctx context.Context, set deploy.Set) (*deploy.Lock, error) {
	if _, err := c.connected(ctx); err != nil {
		return nil, err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	there, err := c.conn.dynamic.Resource(leases()).Namespace(set.Namespace).Get(limited, parentName(set), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nobody holds it
	}
	if err != nil {
		return nil, c.failed(ctx, "read the Lease "+set.Namespace+"/"+parentName(set), err)
	}
	lock := lockOf(there)
	return &lock, nil
}

// Unlock deletes the Lease of a deployment, whoever holds it; a run that still
// goes on notices and stops. It returns whose it was, or nil if there was none.
func (c *Cluster) Unlock(ctx context.Context, set deploy.Set) (*deploy.Lock, error) {
	lock, err := c.Locked(ctx, set)
	if lock == nil || err != nil {
		return nil, err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	policy := metav1.DeletePropagationBackground
	err = c.conn.dynamic.Resource(leases()).Namespace(set.Namespace).Delete(limited, parentName(set), metav1.DeleteOptions{PropagationPolicy: &policy})
	return lock, c.failed(ctx, "delete the Lease "+set.Namespace+"/"+parentName(set), unlessGone(err))
}

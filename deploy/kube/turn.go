package kube

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// Apply is [Cluster.Apply] in our turn. Before it writes anything it remembers
// the set as a revision that is pending; restores is the number of the revision
// which this one goes back to, or 0. Ready is called with what others depend on,
// and returns when that is ready, or cannot be; nil waits for nothing. What
// planned deletes stays until [Turn.Conclude].
func (t *Turn) Apply(ctx context.Context, set deploy.Set, planned []deploy.Change, restores int, ready func(context.Context, []deploy.Object) error) error {
	t.set, t.planned, t.record = set, planned, nil
	return t.cluster.apply(ctx, set, planned, t.say, func(writes []string) (err error) {
		t.record, err = t.cluster.begin(ctx, set, t.run, restores, writes)
		return err
	}, ready)
}

// Conclude ends what Apply began. If err is nil it deletes what the plan lists
// as deletes and remembers that the revision is proven; otherwise it remembers
// that it failed, and why. A run that was cancelled, or has lost its Lease,
// leaves its revision pending: the next one judges it again.
func (t *Turn) Conclude(ctx context.Context, verdicts []deploy.Verdict, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		if err := t.prune(ctx); err != nil {
			return err
		}
	}
	if t.record == nil {
		return nil
	}
	return t.cluster.conclude(ctx, t.record, verdicts, err)
}

// prune deletes what the plan lists, what others need last, and makes the
// inventory name what is left.
func (t *Turn) prune(ctx context.Context) error {
	deletes := deploy.Deletes(t.planned)
	slices.SortFunc(deletes, func(a, b deploy.Change) int { return deploy.Compare(b.Object, a.Object) })
	users := t.cluster.users()
	for _, d := range deletes {
		if err := t.remove(ctx, d.Object, users); err != nil {
			return err
		}
	}
	return t.shrink(ctx)
}

// remove deletes one object, if it is still a member that nothing needs.
func (t *Turn) remove(ctx context.Context, o deploy.Object, users *users) error {
	c := t.cluster
	resource, _, err := c.Resource(ctx, o.APIVersion(), o.Kind())
	var unknown *unknownKindError
	if errors.As(err, &unknown) { // its definition went before it
		return nil
	}
	if err != nil {
		return err
	}
	client := c.at(place{resource, o.Namespace()})
	limited, cancel := c.limit(ctx)
	defer cancel()
	live, err := client.Get(limited, o.Name(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return c.failed(ctx, "read "+o.String(), err)
	case ownerOf(live.Object) != applySetID(t.set) || !weApplied(live.Object):
		t.say(o.String(), "stays: it belongs to somebody else by now")
		return nil
	case deleting(live.Object):
		return nil
	}
	if deploy.Generated(o) {
		user, err := users.of(ctx, o)
		if err != nil {
			return err
		}
		if user != "" {
			t.say(o.String(), "stays: "+user+" may need it")
			return nil
		}
	}
	uid, policy := live.GetUID(), metav1.DeletePropagationBackground
	err = client.Delete(limited, o.Name(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &policy})
	if err := unlessGone(err); err != nil {
		return c.failed(ctx, "delete "+o.String(), err)
	}
	t.say(o.String(), "deleted")
	return nil
}

// shrink makes the inventory name the kinds and namespaces in which there are
// members, and no longer those in which there were.
func (t *Turn) shrink(ctx context.Context) error {
	c := t.cluster
	items, err := c.desired(ctx, t.set)
	if err != nil {
		return err
	}
	inventory := inventoryOf(t.set, items)
	at := place{inventory.kind.resource, t.set.Namespace}
	if err := c.readOne(ctx, at, inventory); err != nil || inventory.live == nil {
		return err
	}
	if sameLists(parent(t.set, items, nil), inventory.live) {
		return nil
	}
	held, err := c.placesOf(ctx, t.set, inventory.live)
	if err != nil {
		return err
	}
	for _, p := range held {
		err := c.readAll(ctx, p, labelPartOf+"="+applySetID(t.set), func(live map[string]any) {
			if !deleting(live) {
				items = append(items, &item{object: deploy.Object{Body: live}, member: true})
			}
		})
		if err != nil {
			return err
		}
	}
	inventory.object.Body = parent(t.set, items, nil)
	if sameLists(inventory.object.Body, inventory.live) {
		return nil
	}
	err = c.patch(ctx, inventory)
	if err != nil {
		return c.rejected(ctx, inventory, "apply", err)
	}
	return nil
}

// sameLists reports whether two inventories name the same kinds and namespaces.
func sameLists(a, b map[string]any) bool {
	for _, list := range []string{annotationKinds, annotationNamespaces} {
		if (deploy.Object{Body: a}).Field("metadata", "annotations", list) != (deploy.Object{Body: b}).Field("metadata", "annotations", list) {
			return false
		}
	}
	return true
}

package kube

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// Apply makes the cluster hold what set says, and calls watch, one call at a
// time, for each object that it has written; watch may be nil. It looks again
// at what differs: when nothing does, it writes nothing at all. It never
// writes an object that planned, the result of an earlier [Cluster.Diff], does
// not list as changing: that is a *[deploy.MovedError], and nothing is written.
//
// Objects go in the order of [deploy.Compare], those of one rank at the same
// time; after a failure no further rank is begun. Applying is safe to repeat,
// after a failure or a kill as well. Other errors are those of Diff.
//
// What planned lists as a delete stays; see [Turn.Conclude].
func (c *Cluster) Apply(ctx context.Context, set deploy.Set, planned []deploy.Change, watch func(deploy.Status)) error {
	var mu sync.Mutex
	return c.apply(ctx, set, planned, func(object, message string) {
		mu.Lock()
		defer mu.Unlock()
		if watch != nil {
			watch(deploy.Status{Object: object, Message: message})
		}
	}, func([]string) error { return nil }, nil)
}

// apply is Apply; begin is called before the first write, and hears whether
// there will be any. Ready, unless it is nil, returns when objects are ready
// that others depend on.
func (c *Cluster) apply(ctx context.Context, set deploy.Set, planned []deploy.Change, say func(object, message string), begin func(writes []string) error, ready func(context.Context, []deploy.Object) error) error {
	all, err := c.diff(ctx, set)
	if err != nil {
		return err
	}
	todo := slices.DeleteFunc(all, func(p pending) bool { return p.change.Op == deploy.Unchanged || p.change.Op == deploy.Conclude })
	if err := within(todo, planned); err != nil {
		return err
	}
	var writes []string
	for _, p := range todo {
		writes = append(writes, p.object.String())
	}
	if err := begin(writes); err != nil {
		return err
	}
	todo = slices.DeleteFunc(todo, func(p pending) bool { return p.change.Op == deploy.Delete })
	for len(todo) > 0 {
		n := slices.IndexFunc(todo, func(p pending) bool { return p.turn() != todo[0].turn() })
		if n < 0 {
			n = len(todo)
		}
		if needs := needsOf(todo[:n]); len(needs) > 0 && ready != nil {
			if err := ready(ctx, needs); err != nil {
				return err
			}
		}
		if err := c.applyAll(ctx, todo[:n], func(p pending, message string) { say(p.object.String(), message) }); err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// needsOf returns what has to be ready before any of a turn is applied.
func needsOf(turn []pending) []deploy.Object {
	var needs []deploy.Object
	seen := map[*item]bool{}
	for _, p := range turn {
		for _, n := range p.needs {
			if !seen[n] {
				needs = append(needs, n.object)
			}
			seen[n] = true
		}
	}
	return needs
}

// within reports what of todo is not among the planned changes.
func within(todo []pending, planned []deploy.Change) error {
	listed, deletes, replaces := map[address]bool{}, map[address]bool{}, map[address]bool{}
	for _, change := range planned {
		switch change.Op {
		case deploy.Unchanged, deploy.Conclude:
		case deploy.Delete:
			deletes[addressOf(change.Object)] = true
		default:
			replaces[addressOf(change.Object)] = change.Op == deploy.Replace
			listed[addressOf(change.Object)] = true
		}
	}
	var moved deploy.MovedError
	for _, p := range todo {
		at := addressOf(p.object)
		switch {
		case p.change.Op == deploy.Delete && (deletes[at] || deploy.Generated(p.object)): // what is generated waits for a run that lists it
		case p.change.Op == deploy.Delete || !listed[at] || p.change.Op == deploy.Replace && !replaces[at]:
			moved.Changes = append(moved.Changes, p.change)
		}
	}
	if len(moved.Changes) > 0 {
		return &moved
	}
	return nil
}

// turn returns when an item is applied. The namespace of the inventory comes
// before the inventory, and that before all members.
func (p pending) turn() int {
	switch {
	case isNamespace(p.object):
		return -2
	case !p.member:
		return -1
	}
	return p.item.turn
}

// applyAll applies the items of one turn. All are tried.
func (c *Cluster) applyAll(ctx context.Context, turn []pending, say func(pending, string)) error {
	errs := make([]error, len(turn))
	var group errgroup.Group
	group.SetLimit(c.parallel())
	for n, p := range turn {
		group.Go(func() error {
			errs[n] = c.applyOne(ctx, p, say)
			return nil
		})
	}
	_ = group.Wait() // its functions return nil: the errors are in errs
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

func (c *Cluster) applyOne(ctx context.Context, p pending, say func(pending, string)) error {
	if p.change.Op == deploy.Replace {
		if err := c.clear(ctx, p.item); err != nil {
			return err
		}
	}
	if p.change.Op == deploy.Configure {
		if err := c.takeOver(ctx, p.item); err != nil {
			return c.rejected(ctx, p.item, "apply", err)
		}
	}
	err := c.patch(ctx, p.item)
	for try := 0; err != nil && try < 20 && (p.newKind() && apierrors.IsNotFound(err) || p.change.Op == deploy.Replace && immutable(p.item, err)); try++ {
		// A definition can be established a moment before its objects are served,
		// and what is deleted can be there for a moment.
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		err = c.patch(ctx, p.item)
	}
	if err != nil {
		return c.rejected(ctx, p.item, "apply", err)
	}
	say(p, map[deploy.Op]string{deploy.Create: "created", deploy.Configure: "configured", deploy.Replace: "replaced"}[p.change.Op])
	if definesKind(p.object) {
		c.conn.kinds.forget(groupOf(p.object))
		return c.established(ctx, p, say)
	}
	return nil
}

// clear deletes the object that is to be made anew, with what it made.
func (c *Cluster) clear(ctx context.Context, it *item) error {
	uid, _ := (deploy.Object{Body: it.live}).Field("metadata", "uid").(string)
	of, policy := types.UID(uid), metav1.DeletePropagationBackground
	limited, cancel := c.limit(ctx)
	defer cancel()
	err := c.of(it).Delete(limited, it.object.Name(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &of}, PropagationPolicy: &policy})
	return c.failed(ctx, "delete "+it.object.String(), unlessGone(err))
}

// newKind reports whether an item's kind was not served when it was looked at.
func (p pending) newKind() bool { return p.fresh && p.object.Group() != "" }

// groupOf returns the group that a CustomResourceDefinition defines a kind of.
func groupOf(o deploy.Object) string {
	group, _ := o.Field("spec", "group").(string)
	return group
}

// pause waits, but not longer than ctx lives.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// Diff returns what applying set would do, an entry for each object, in the
// order in which it would be done. It changes nothing. The objects are as they
// would be applied: with their namespace and our labels. Beside those of the
// set there is the namespace of the deployment when it has to be made, and the
// inventory when it has to be written.
//
// Errors about objects are *[deploy.ObjectError], joined; they wrap a
// *[deploy.ConflictError] where fields belong to others. A cluster that does
// not do what is asked is a *[deploy.ClusterError].
func (c *Cluster) Diff(ctx context.Context, set deploy.Set) ([]deploy.Change, error) {
	pending, err := c.diff(ctx, set)
	if err != nil {
		return nil, err
	}
	changes := make([]deploy.Change, len(pending))
	for n, p := range pending {
		changes[n] = p.change
	}
	return changes, nil
}

// Drift is Diff for those who only want to know: where others have given fields
// of the set other values, that is a difference as well, and no error.
func (c *Cluster) Drift(ctx context.Context, set deploy.Set) ([]deploy.Change, error) {
	items, err := c.desired(ctx, set)
	if err != nil {
		return nil, err
	}
	if _, err := c.read(ctx, set, items, nil); err != nil {
		return nil, err
	}
	for _, it := range items {
		it.forced = true
		if ownerOf(it.live) != ownerOf(it.object.Body) { // the live one is another deployment's by now, or nobody's
			it.member = false
		}
	}
	decided, err := c.decide(ctx, items)
	if err != nil {
		return nil, err
	}
	var drifted []deploy.Change
	for _, p := range decided {
		if p.change.Op != deploy.Unchanged {
			drifted = append(drifted, p.change)
		}
	}
	return drifted, nil
}

// pending is an item and what is to happen to it.
type pending struct {
	*item
	change deploy.Change
}

func (c *Cluster) diff(ctx context.Context, set deploy.Set) ([]pending, error) {
	if set.Namespace == "" || set.Name == "" {
		return nil, errors.New("a deployment needs a name and a namespace")
	}
	items, err := c.desired(ctx, set)
	if err != nil {
		return nil, err
	}
	spaces := c.namespacesOf(set, items)
	inventory := inventoryOf(set, items)
	var left *remainder
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return c.readOne(groupCtx, place{inventory.kind.resource, set.Namespace}, inventory)
	})
	group.Go(func() error { return c.readNamespaces(groupCtx, spaces) })
	group.Go(func() (err error) { left, err = c.unfinished(groupCtx, set); return err })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := ours(set, inventory.live); err != nil {
		return nil, &deploy.ObjectError{Object: inventory.object, Err: err}
	}
	held, err := c.placesOf(ctx, set, inventory.live)
	if err != nil {
		return nil, err
	}
	others, err := c.read(ctx, set, items, held)
	if err != nil {
		return nil, err
	}
	inventory.object.Body = parent(set, items, inventory.live)
	all := append(slices.Clone(items), inventory)
	made, err := spaces.settle(set, all)
	if err != nil {
		return nil, err
	}
	if made != nil {
		all = append(all, made)
	}
	decided, err := c.decide(ctx, all, inventory, made)
	if err != nil {
		return nil, err
	}
	deletes, err := c.deletes(ctx, set, others, slices.ContainsFunc(decided, func(p pending) bool { return p.change.Op != deploy.Unchanged }))
	if err != nil {
		return nil, err
	}
	return withRemainder(set, append(decided, deletes...), left), nil
}

// withRemainder returns decided such that what an earlier run has left is judged
// again: what it wrote, nobody has proven, and can be judged. Where there is no such object and
// nothing else is to happen, the last change stands for the revision or Lease.
func withRemainder(set deploy.Set, decided []pending, left *remainder) []pending {
	if left == nil {
		return decided
	}
	for n, p := range decided {
		if p.change.Op == deploy.Unchanged && set.Judged(p.object) && left.of(p.object) {
			decided[n].change.Op, decided[n].change.Diff = deploy.Conclude, left.change.Diff
		}
	}
	if slices.ContainsFunc(decided, func(p pending) bool { return p.change.Op != deploy.Unchanged }) {
		return decided
	}
	return append(decided, pending{&item{object: left.change.Object}, left.change})
}

// inventoryOf returns the inventory, as it is where there is none yet.
func inventoryOf(set deploy.Set, items []*item) *item {
	it := &item{object: deploy.Object{Body: parent(set, items, nil)}, kind: kind{namespaced: true}}
	it.kind.resource.Version, it.kind.resource.Resource = "v1", "configmaps"
	return it
}

// decide finds what is to happen to each item. The namespace and the inventory
// come first, and are left out when nothing happens to them.
func (c *Cluster) decide(ctx context.Context, items []*item, first ...*item) ([]pending, error) {
	decided := make([]pending, len(items))
	missing := math.MaxInt // the lowest rank of which an object is to be made
	for _, it := range items {
		if it.live == nil {
			missing = min(missing, it.object.Rank())
		}
	}
	for _, it := range items {
		it.awaits = missing < it.object.Rank()
	}
	errs := make([]error, len(items))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.parallel())
	for n, it := range items {
		group.Go(func() error {
			change, err := c.change(groupCtx, it)
			decided[n], errs[n] = pending{it, change}, err
			var cluster *deploy.ClusterError
			if errors.As(err, &cluster) || groupCtx.Err() != nil {
				return err // the others would only say the same
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // also where the last answer came all the same
		return nil, context.Cause(ctx)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	decided = slices.DeleteFunc(decided, func(p pending) bool { return slices.Contains(first, p.item) && p.change.Op == deploy.Unchanged })
	slices.SortStableFunc(decided, func(a, b pending) int {
		return cmp.Or(cmp.Compare(a.turn(), b.turn()), deploy.Compare(a.object, b.object))
	})
	return decided, nil
}

// change finds what is to happen to one item, by a dry-run where it must be.
func (c *Cluster) change(ctx context.Context, it *item) (deploy.Change, error) {
	it.leaveReplicas()
	change := deploy.Change{Object: it.object, Op: deploy.Create, Live: it.live}
	switch {
	case deleting(it.live) && !it.forced:
		return change, &deploy.ObjectError{Object: it.object, Err: errors.New("is being deleted (run again when it is gone)")}
	case it.member && it.live != nil && ownerOf(it.live) != "" && ownerOf(it.live) != ownerOf(it.object.Body):
		return change, &deploy.ObjectError{Object: it.object, Err: &deploy.OwnedError{Deployment: deploymentOf(it.live)}}
	case it.managed() != nil && !it.set.Adopt:
		return change, &deploy.ObjectError{Object: it.object, Err: it.managed()}
	case it.live == nil && it.fresh, c.tries.good(it, time.Now()):
		return change, nil
	case it.live != nil && applied(it.object.Body, it.live):
		change.Op = deploy.Unchanged
		return change, nil
	case it.live != nil:
		change.Op = deploy.Configure
	}
	result, err := c.try(ctx, it)
	switch {
	case err != nil && immutable(it, err) && it.object.Replaceable():
		change.Op = deploy.Replace
		change.Diff, _ = Difference(it.live, overlaid(it.live, it.object.Body))
		return change, nil
	case err != nil && uncheckable(it, err):
		change.Diff = note(it, err)
		return change, nil
	case err != nil:
		return change, c.rejected(ctx, it, "check", err)
	case it.live == nil:
		c.tries.note(it, time.Now())
		return change, nil
	}
	lines, differ := Difference(it.live, result)
	if change.Diff = lines; !differ {
		change.Op = deploy.Unchanged
	}
	return change, nil
}

// managed returns the error of an item that another tool manages and that is to
// become ours, and nil for all others.
func (it *item) managed() *deploy.ManagedError {
	if it.live == nil || it.set == nil || it.forced || ownerOf(it.live) != "" {
		return nil
	}
	return deploy.Managed(deploy.Object{Body: it.live})
}

// rejected says why the server did not take an item.
func (c *Cluster) rejected(ctx context.Context, it *item, doing string, err error) error {
	if !refused(err) {
		return c.failed(ctx, doing+" "+it.object.String(), err)
	}
	if conflict := conflictOf(err); conflict != nil {
		return &deploy.ObjectError{Object: it.object, Err: conflict}
	}
	words := untyped().ReplaceAllString(reason(err), "")
	switch {
	case it.live != nil && strings.Contains(words, "immutable"):
		words += fmt.Sprintf(" (give the %s another name, delete the old one, or annotate it slipway.dev/when-immutable: replace)", it.object.Kind())
	case apierrors.IsNotFound(err) && it.object.Namespace() != "":
		words += " (create the namespace first, or put it into the kustomization)"
	}
	return &deploy.ObjectError{Object: it.object, Err: &said{words, err}}
}

// immutable reports whether the server refused to change a field that there is.
func immutable(it *item, err error) bool {
	return it.live != nil && refused(err) && conflictOf(err) == nil && strings.Contains(reason(err), "immutable")
}

// overlaid returns live with the fields of body: what a change would make of it,
// where the server does not say because it refuses.
func overlaid(live, body map[string]any) map[string]any {
	merged := maps.Clone(live)
	for name, value := range body {
		below, ok := value.(map[string]any)
		before, was := live[name].(map[string]any)
		if ok && was {
			merged[name] = overlaid(before, below)
			continue
		}
		list, ok := value.([]any)
		items, was := live[name].([]any)
		if !ok || !was || len(list) != len(items) {
			merged[name] = value
			continue
		}
		together := slices.Clone(items)
		for n := range list {
			below, ok := list[n].(map[string]any)
			before, was := items[n].(map[string]any)
			if together[n] = list[n]; ok && was {
				together[n] = overlaid(before, below)
			}
		}
		merged[name] = together
	}
	return merged
}

// uncheckable reports whether a dry-run's refusal says nothing about the real
// thing: the object still holds the digest that stands for an unknown one, it
// needs another that is to be made before it, or a webhook takes no part in
// dry-runs.
func uncheckable(it *item, err error) bool {
	if !refused(err) || conflictOf(err) != nil {
		return false
	}
	return strings.Contains(reason(err), "does not support dry run") ||
		it.awaits && strings.Contains(reason(err), "not found") ||
		mentions(it.object.Body, deploy.Unknown) && (denied(err) || immutable(it, err))
}

// denied reports whether a webhook or a policy said no, rather than the API itself.
func denied(err error) bool {
	words := reason(err)
	return strings.Contains(words, "denied the request") || strings.Contains(words, "denied request") || strings.Contains(words, "admission webhook")
}

// note is the diff of what could not be checked: the reason, and the images.
func note(it *item, err error) string {
	lines := []string{"could not check: " + reason(err)}
	before := map[string]string{}
	for _, container := range deploy.Containers(deploy.Object{Body: it.live}) {
		before[container.Name()] = container.Image()
	}
	for _, container := range deploy.Containers(it.object) {
		if old := before[container.Name()]; it.live != nil && old != container.Image() {
			lines = append(lines, fmt.Sprintf("image of container %s: %s → %s", container.Name(), cmp.Or(old, absent), container.Image()))
		}
	}
	return strings.Join(lines, "\n")
}

// namedItem is how the server writes what a diff writes as [web].
var namedItem = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\[name="([^"]*)"\]`) })

// conflictOf returns the fields that belong to others, if that is what err says.
func conflictOf(err error) *deploy.ConflictError {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || !apierrors.IsConflict(err) {
		return nil
	}
	conflict := &deploy.ConflictError{}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		manager := cause.Message // conflict with "kubectl" using apps/v1
		if parts := strings.Split(manager, `"`); len(parts) >= 3 {
			manager = parts[1]
		}
		field := namedItem().ReplaceAllString(strings.TrimPrefix(cause.Field, "."), "[$1]")
		conflict.Fields = append(conflict.Fields, deploy.OwnedField{Manager: manager, Field: field})
	}
	if len(conflict.Fields) == 0 {
		return nil
	}
	return conflict
}

package kube

import (
	"context"
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
)

// patch applies an item server-side, or tries to. Of the answer nobody reads more than that
// it is one, so only the object's metadata is asked for, in the form that costs the server
// least (https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources).
func (c *Cluster) patch(ctx context.Context, it *item, dryRun ...string) error {
	body, err := json.Marshal(it.object.Body)
	if err != nil {
		return err
	}
	return c.insist(ctx, it, len(dryRun) > 0, func(ctx context.Context, force bool) error {
		options := metav1.PatchOptions{FieldManager: Manager, DryRun: dryRun, Force: &force}
		_, err := c.conn.metadata.Resource(it.kind.resource).Namespace(it.object.Namespace()).Patch(ctx, it.object.Name(), types.ApplyYAMLPatchType, body, options)
		return err
	})
}

// tried returns what applying an item would make of it.
func (c *Cluster) tried(ctx context.Context, it *item) (made map[string]any, err error) {
	err = c.insist(ctx, it, true, func(ctx context.Context, force bool) error {
		options := metav1.ApplyOptions{FieldManager: Manager, DryRun: []string{metav1.DryRunAll}, Force: force}
		answer, err := c.of(it).Apply(ctx, it.object.Name(), &unstructured.Unstructured{Object: it.object.Body}, options)
		if err == nil {
			made = answer.Object
		}
		return err
	})
	return made, err
}

// insist calls apply, and with force once more where fields belong to others and may be
// taken: from those that [Cluster.TakeFrom] names, where the set forces it, and in a dry
// run that only tells.
func (c *Cluster) insist(ctx context.Context, it *item, dry bool, apply func(ctx context.Context, force bool) error) error {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	err := apply(ctx, false)
	if conflict := conflictOf(err); conflict != nil && (it.forced && dry || c.mayTake(it, conflict)) {
		err = apply(ctx, true)
	}
	return err
}

// mayTake reports whether the user lets us have all fields of a conflict.
func (c *Cluster) mayTake(it *item, conflict *deploy.ConflictError) bool {
	from := c.TakeFrom
	if tool := it.managed(); tool != nil && it.set.Adopt {
		from = append(slices.Clone(from), tool.Managers...)
	}
	return !slices.ContainsFunc(conflict.Fields, func(f deploy.OwnedField) bool {
		return !slices.Contains(from, f.Manager) && (it.set == nil || !it.set.Forces(f.Field))
	})
}

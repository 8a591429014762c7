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
	return c.insist(ctx, it, dryRun, func(ctx context.Context, options metav1.ApplyOptions) error {
		at := c.conn.metadata.Resource(it.kind.resource).Namespace(it.object.Namespace())
		_, err := at.Patch(ctx, it.object.Name(), types.ApplyYAMLPatchType, body, options.ToPatchOptions())
		return err
	})
}

// tried returns what applying an item would make of it.
func (c *Cluster) tried(ctx context.Context, it *item) (made map[string]any, err error) {
	err = c.insist(ctx, it, []string{metav1.DryRunAll}, func(ctx context.Context, options metav1.ApplyOptions) error {
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
func (c *Cluster) insist(ctx context.Context, it *item, dryRun []string, apply func(context.Context, metav1.ApplyOptions) error) error {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	options := metav1.ApplyOptions{FieldManager: Manager, DryRun: dryRun}
	err := apply(ctx, options)
	if conflict := conflictOf(err); conflict != nil && (it.forced && len(dryRun) > 0 || c.mayTake(it, conflict)) {
		options.Force = true
		err = apply(ctx, options)
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

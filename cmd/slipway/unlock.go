package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy/kube"
)

func (a *app) unlock() *cobra.Command {
	c := &cobra.Command{
		Use:   "unlock",
		Short: "Take a deployment's Lease from a run that holds it",
		Long: `Unlock deletes the Lease of a deployment, so that another run need not wait until
it expires. Use it when the run that holds it has died. A run that is still alive
notices within ten seconds, and stops.`,
		Example: `  slipway unlock shop/rollout -n shop`,
	}
	return a.onDeployment(c, func(ctx context.Context, w *world, d kube.Deployment) error {
		lock, err := w.cluster.Unlock(ctx, d.Set)
		if err != nil {
			return err
		}
		return a.answer(map[string]any{"unlocked": lock}, func() string {
			if lock == nil {
				return d.Set.String() + " was not locked"
			}
			return d.Set.String() + " was locked by " + lock.Run.String()
		})
	})
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

// Times that --until reads.
func untilFormats() []string {
	return []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}
}

func (a *app) hold() *cobra.Command {
	var until, reason string
	var release bool
	c := &cobra.Command{
		Use:   "hold",
		Short: "Keep a deployment as it is until a time",
		Long: fmt.Sprintf(`Hold keeps a deployment as it is: a run that would change it ends with exit code
%d, and says who holds it, why and until when. A run that would change nothing
goes on. What runs keeps running.`, exitStale),
		Example: `  slipway hold shop/rollout -n shop --until 4h --reason "load test"
  slipway hold shop/rollout -n shop --until 2026-12-27 --reason "no releases over the holidays"
  slipway hold shop/rollout -n shop --release`,
	}
	f := c.Flags()
	f.StringVar(&until, "until", "", "how long: 4h, 2026-12-27 or 2026-12-27T08:00 (local time)")
	f.StringVar(&reason, "reason", "", "why, for those who are kept waiting")
	f.BoolVar(&release, "release", false, "end the hold")
	return a.onDeployment(c, func(ctx context.Context, w *world, d kube.Deployment) error {
		if release {
			return a.release(ctx, w, d)
		}
		end, err := parseUntil(until, time.Now())
		if err != nil {
			return err
		}
		if reason == "" {
			return usagef("why? (say it with --reason, for those who are kept waiting)")
		}
		hold := &deploy.Hold{By: w.tools.Run.By, Reason: reason, Until: end.UTC()}
		if err := w.cluster.Hold(ctx, d.Set, hold); err != nil {
			return err
		}
		return a.answer(hold, func() string { return d.Set.String() + " is " + hold.String() })
	})
}

func (a *app) release(ctx context.Context, w *world, d kube.Deployment) error {
	if err := w.cluster.Hold(ctx, d.Set, nil); err != nil {
		return err
	}
	return a.answer(map[string]any{"released": d.Hold}, func() string {
		if d.Hold == nil {
			return d.Set.String() + " was not held"
		}
		return d.Set.String() + " is no longer " + d.Hold.String()
	})
}

// parseUntil reads a duration from now, or a time.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, usagef("until when? (want --until 4h, or --until 2026-12-27T08:00; --release ends a hold)")
	}
	end := time.Time{}
	if d, err := time.ParseDuration(text); err == nil {
		end = now.Add(d)
	}
	for _, format := range untilFormats() {
		if t, err := time.ParseInLocation(format, text, now.Location()); err == nil {
			end = t
		}
	}
	switch {
	case end.IsZero():
		return end, usagef("--until %s is no time (want one such as 4h, 2026-12-27 or 2026-12-27T08:00)", text)
	case !end.After(now):
		return end, usagef("--until %s is past (want a time to come)", text)
	}
	return end, nil
}

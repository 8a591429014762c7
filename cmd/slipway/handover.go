package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// handoverFlags adds the flags of a run that is one half of two: one builds, and
// the other deploys what that has built. All that goes between them is a release.
func (a *app) handoverFlags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&a.flags.noDeploy, "no-deploy", false, "build, test and push, and leave what needs a cluster to a run --from the release of this one")
	f.StringVar(&a.flags.releaseTo, "release-to", "", "push the release of this run to a `REF`, whatever became of it")
	f.DurationVar(&a.flags.await, "await", 0, "how long to wait for the release of --from, which another run pushes with --release-to; it has to be green")
	f.StringVar(&a.flags.verdict, "verdict", "", "write what became of the run to a `FILE`, as one line of JSON")
}

// checkHandover refuses flags that make no sense together.
func (a *app) checkHandover() error {
	switch {
	case a.flags.noDeploy && a.flags.noPush:
		return usagef("--no-deploy pushes, and --no-push does not (want one of them)")
	case a.flags.await > 0 && a.flags.from == "":
		return usagef("--await is for --from (name a release with it)")
	}
	for _, ref := range []*string{&a.flags.releaseTo, &a.flags.from} {
		if !strings.Contains(*ref, scheduled) {
			continue
		}
		job, ok := a.env("JOB_NAME")
		if !ok {
			return usagef("%s stands for the time of a CronJob, which the environment variable JOB_NAME ends with", scheduled)
		}
		*ref = strings.ReplaceAll(*ref, scheduled, job[strings.LastIndexByte(job, '-')+1:])
	}
	if i := strings.LastIndexByte(a.flags.releaseTo, ':'); a.flags.releaseTo != "" && i < strings.LastIndexByte(a.flags.releaseTo, '/') {
		return usagef("--release-to %s (want REPOSITORY:TAG)", a.flags.releaseTo)
	}
	return nil
}

// scheduled stands in a reference for when a CronJob was due: two that have the
// same schedule know each other's releases by that.
const scheduled = "{scheduled}"

// handedTime is how long a release is handed over after the run was asked to stop.
const handedTime = 5 * time.Second

// handOver pushes the release of a run, which is nil if it did not begin, to where
// another run waits for it. It returns err, or else what went wrong with that.
func (a *app) handOver(ctx context.Context, w *world, rel *pipeline.Release, err error) error {
	if a.flags.releaseTo == "" {
		return err
	}
	if rel == nil {
		rel = &pipeline.Release{Version: pipeline.ReleaseVersion, ID: a.runID(), Pipeline: "-", Environment: a.flags.environment, Status: pipeline.StatusFailed, Finished: time.Now().UTC()}
	} else if err != nil && rel.Status == pipeline.StatusOK {
		failed := *rel
		failed.Status, rel = pipeline.StatusFailed, &failed
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), handedTime)
		defer cancel()
	}
	img, pushed := a.pushRelease(ctx, w, a.flags.releaseTo, rel)
	switch {
	case pushed == nil:
		fmt.Fprintf(a.stderr, "release handed over: %s\n", img.Ref())
	case err == nil:
		return fmt.Errorf("the run was green, but its release is not handed over: %w", pushed)
	default:
		fmt.Fprintf(a.stderr, "warning: the release is not handed over: %v\n", pushed)
	}
	return err
}

// pushRelease puts a release into a registry.
func (a *app) pushRelease(ctx context.Context, w *world, ref string, rel *pipeline.Release) (buildkit.Image, error) {
	var text strings.Builder
	if err := report.ReleaseJSON(a.mask(&text), rel); err != nil {
		return buildkit.Image{}, err
	}
	i := strings.LastIndexByte(ref, ':')
	return w.images.PushArtifact(ctx, ref[:i], []string{ref[i+1:]}, releaseType, []byte(text.String()), map[string]string{
		"org.opencontainers.image.revision": rel.Commit,
		"org.opencontainers.image.created":  rel.Finished.Format("2006-01-02T15:04:05Z"),
		"dev.slipway.pipeline":              rel.Pipeline,
		"dev.slipway.environment":           rel.Environment,
	})
}

// Pauses between two looks at whether a release is there.
const (
	firstLook = time.Second
	lastLook  = 15 * time.Second
)

// awaited returns the release that the user names, and where it lies, once it is
// there, if it is to be waited for.
func (s *shelf) awaited(ctx context.Context, name string) (*pipeline.Release, string, error) {
	if s.flags.await == 0 {
		return s.named(ctx, name)
	}
	limit := time.NewTimer(s.flags.await)
	defer limit.Stop()
	for pause, said := firstLook, false; ; pause = min(2*pause, lastLook) {
		rel, where, err := s.named(ctx, name)
		switch {
		case err == nil && rel.Status != pipeline.StatusOK:
			return nil, where, pipeline.Stalef("release %s (%s) was not green: %s (see the log of the run that made it)", rel.ID, where, rel.Status)
		case !errors.Is(err, buildkit.ErrNotFound):
			return rel, where, err
		case !said:
			fmt.Fprintf(s.stderr, "waiting for release %s, for up to %v\n", name, s.flags.await)
			said = true
		}
		select {
		case <-time.After(pause):
		case <-limit.C:
			return nil, where, pipeline.Stalef("release %s is not there after %v (see the log of the run that makes it)", name, s.flags.await)
		case <-ctx.Done():
			return nil, where, context.Cause(ctx)
		}
	}
}

// mostVerdict is how long the text of a verdict may be: a kubelet takes 4096 bytes.
const mostVerdict = 2048

// A verdict is what became of a run, for whoever started it in a pod.
type verdict struct {
	Run    string `json:"run"`
	Code   int    `json:"code"` // its exit code
	Status string `json:"status"`
	Cause  string `json:"cause,omitempty"`
}

// giveVerdict writes what became of a run to where --verdict says. It returns err.
func (a *app) giveVerdict(err error) error {
	if a.flags.verdict == "" {
		return err
	}
	v := verdict{Run: a.runID(), Code: exitCode(err), Status: "ok"}
	if err != nil {
		var hidden strings.Builder
		fmt.Fprintln(a.hide(&hidden), err) // what hides secrets waits for the end of the line
		v.Status, v.Cause = "failed", report.Tame(strings.ToValidUTF8(strings.TrimSpace(hidden.String()[:min(hidden.Len(), mostVerdict)]), ""))
	}
	text, encoded := json.Marshal(v)
	if encoded == nil {
		encoded = os.WriteFile(a.flags.verdict, append(text, '\n'), 0o644)
	}
	if encoded != nil {
		fmt.Fprintf(a.stderr, "warning: the verdict is not written: %v\n", encoded)
	}
	return err
}

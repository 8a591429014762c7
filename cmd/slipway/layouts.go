package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/page"
)

// layouts puts into the report what its images consist of: of those that this run
// built the builder tells, of others what an earlier run here has noted. No
// registry is asked, and what is not known is left out.
func (w *world) layouts(ctx context.Context, plan *pipeline.Plan, rec *record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	built := false // the builder runs already
	for i, s := range rec.release.Steps {
		built = built || plan.Steps[i].Builds && s.Status == pipeline.StatusOK
	}
	for _, s := range rec.release.Steps {
		ref, ok := s.Outputs["image"].(pipeline.ImageRef)
		step := rec.report.Step(s.ID)
		if !ok || step == nil {
			continue
		}
		layouts := w.noted(ref.Digest)
		if layouts == nil && built {
			if found, err := w.images.Layouts(ctx, buildkit.Image{Digest: ref.Digest}); err == nil {
				layouts = found
				w.note(ref.Digest, found)
			}
		}
		for _, l := range layouts {
			p := page.Platform{Platform: l.Platform, Digest: l.Digest, Size: l.Size}
			for _, layer := range l.Layers {
				p.Layers = append(p.Layers, page.Layer(layer))
			}
			step.Platforms = append(step.Platforms, p)
		}
	}
}

// layoutFile is where it is noted what an image consists of, which never changes.
func (w *world) layoutFile(digest string) string {
	return filepath.Join(w.state, "layouts", strings.TrimPrefix(digest, "sha256:")+".json")
}

// noted returns what an image consists of, or nil if that was never noted.
func (w *world) noted(digest string) []buildkit.Layout {
	text, err := os.ReadFile(w.layoutFile(digest))
	var layouts []buildkit.Layout
	if err != nil || json.Unmarshal(text, &layouts) != nil {
		return nil
	}
	return layouts
}

// note keeps what an image consists of. Where that cannot be written, a later
// report has less in it.
func (w *world) note(digest string, layouts []buildkit.Layout) {
	text, err := json.Marshal(layouts)
	file := w.layoutFile(digest)
	part := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o755) != nil || os.WriteFile(part, text, 0o644) != nil {
		return
	}
	_ = os.Rename(part, file)
}

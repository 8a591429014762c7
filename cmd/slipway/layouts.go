package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/solve"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/page"
)

// layouts puts into the report what its images consist of: of those that this run
// built the builder tells, of others what an earlier run here has noted. No
// registry is asked, and what is not known is left out.
func (w *world) layouts(ctx context.Context, plan *pipeline.Plan, rec *record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	built, more := false, false // by the builder, which runs already; what is noted
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
				layouts, more = found, true
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
	if more {
		w.forget(solve.Limit{Keep: layoutsKept})
	}
}

// layoutsKept is how much is noted of images, a few thousand of them. Those go first
// that nobody asked for longest.
const layoutsKept = 4 << 20

// layoutFile is where it is noted what an image consists of, which never changes.
func (w *world) layoutFile(digest string) string {
	return filepath.Join(w.state, "layouts", strings.TrimPrefix(digest, "sha256:")+".json")
}

// noted returns what an image consists of, or nil if that was never noted.
func (w *world) noted(digest string) []buildkit.Layout {
	file := w.layoutFile(digest)
	text, err := os.ReadFile(file)
	var layouts []buildkit.Layout
	if err != nil || json.Unmarshal(text, &layouts) != nil {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(file, now, now) // it was asked for
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

// notes returns the files in which it is noted what images consist of, the last that
// was asked for first.
func (w *world) notes() []fs.FileInfo {
	entries, _ := os.ReadDir(filepath.Dir(w.layoutFile(""))) // none were made, or none can be read
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	return files
}

// noteUsage returns what the notes take of the disk. Nothing uses them now.
func (w *world) noteUsage() (u solve.Usage) {
	for _, info := range w.notes() {
		u.Records, u.Bytes, u.Reclaimable = u.Records+1, u.Bytes+info.Size(), u.Reclaimable+info.Size()
	}
	return u
}

// forget removes notes beyond the limit, and returns how much that was.
func (w *world) forget(limit solve.Limit) (freed solve.Usage) {
	var sum int64
	for _, info := range w.notes() {
		if sum += info.Size(); sum <= limit.Keep || time.Since(info.ModTime()) < limit.Age {
			continue
		}
		if os.Remove(filepath.Join(filepath.Dir(w.layoutFile("")), info.Name())) == nil {
			freed.Records, freed.Bytes = freed.Records+1, freed.Bytes+info.Size()
		}
	}
	return freed
}

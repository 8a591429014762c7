package stagestest

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// Archive implements [stages.Exporter].
func (w *World) Archive(_ context.Context, img buildkit.Image, name string, to io.Writer) error {
	_, err := fmt.Fprintf(to, "%s %s", name, img.Digest)
	return err
}

// Files implements [stages.Exporter]: the image has one file.
func (w *World) Files(_ context.Context, img buildkit.Image, to io.Writer, _ func(buildkit.Progress)) error {
	t := tar.NewWriter(to)
	err := t.WriteHeader(&tar.Header{Name: "etc/digest", Mode: 0o644, Size: int64(len(img.Digest))})
	_, err2 := t.Write([]byte(img.Digest))
	return errors.Join(err, err2, t.Close())
}

// Loaded implements [stages.Exporter].
func (w *World) Loaded(_ context.Context, name string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.loaded[name], nil
}

// Load implements [stages.Exporter].
func (w *World) Load(_ context.Context, archive io.Reader) error {
	text, err := io.ReadAll(archive)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loaded == nil {
		w.loaded = map[string]string{}
	}
	name, id, _ := strings.Cut(string(text), " ")
	w.loaded[name] = id
	w.did("load %s", name)
	return err
}

// Build "builds" spec: equal inputs have equal digests.
func (w *World) Build(ctx context.Context, spec buildkit.Spec, watch func(buildkit.Progress)) (buildkit.Image, error) {
	if w.FailBuild != nil {
		return buildkit.Image{}, w.FailBuild
	}
	in, err := w.Inputs(ctx, spec)
	if err != nil {
		return buildkit.Image{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, c := range spec.Contexts {
		if c.Folder == "" && !w.built[c.Image.Digest] && c.Image.Repository == "" {
			return buildkit.Image{}, fmt.Errorf("context %s: the builder has no image %q", name, c.Image.Digest)
		}
	}
	digest := "sha256:" + in.Key
	if w.built == nil {
		w.built = map[string]bool{}
	}
	w.built[digest] = true
	w.did("build %s", filepath.Base(spec.Context))
	watch(buildkit.Progress{Vertex: "v1", Name: "[1/1] FROM scratch", Started: time.Unix(1, 0), Completed: time.Unix(2, 0), Log: "done"})
	return buildkit.Image{Digest: digest}, nil
}

// Exec runs nothing, in an image that has to be there.
func (w *World) Exec(_ context.Context, cmd buildkit.Command, _ func(buildkit.Progress)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.built[cmd.Image.Digest] && cmd.Image.Repository == "" {
		return fmt.Errorf("the builder has no image %q", cmd.Image.Digest)
	}
	w.did("exec %s", strings.Join(cmd.Args, " "))
	return w.FailExec
}

// Recall implements [stages.Memory].
func (w *World) Recall(key string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passed[key], nil
}

// Remember implements [stages.Memory].
func (w *World) Remember(key string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.passed == nil {
		w.passed = map[string]bool{}
	}
	w.passed[key] = true
	return nil
}

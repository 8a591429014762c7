package stagestest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/buildkit"
)

// Inputs hashes the files of the context and the words of the spec.
func (w *World) Inputs(ctx context.Context, spec buildkit.Spec) (buildkit.Inputs, error) {
	if _, err := os.Stat(filepath.Join(spec.Context, spec.DockerfileName())); errors.Is(err, fs.ErrNotExist) {
		return buildkit.Inputs{}, fmt.Errorf("%w in %s (set dockerfile: to its path)", buildkit.ErrNoDockerfile, spec.Context)
	}
	sum := sha256.New()
	err := filepath.WalkDir(spec.Context, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(spec.Context, path)
		fmt.Fprintf(sum, "%q %x\n", rel, sha256.Sum256(text))
		return err
	})
	if err != nil {
		return buildkit.Inputs{}, err
	}
	keys := map[string]string{}
	for name, c := range spec.Contexts {
		keys[name] = c.Key
	}
	b, err := json.Marshal([]any{spec.Target, spec.Platforms, spec.Args, keys})
	fmt.Fprintf(sum, "%s", b)
	return buildkit.Inputs{Key: fmt.Sprintf("%x", sum.Sum(nil)), Context: spec.Context, Contexts: spec.Contexts}, errors.Join(err, ctx.Err())
}

// Parts implements [stages.Inputs]: one part for each file, arg and context.
func (w *World) Parts(_ context.Context, spec buildkit.Spec) (buildkit.Parts, error) {
	parts := buildkit.Parts{}
	for name, value := range spec.Args {
		parts["arg "+name] = value
	}
	for name, c := range spec.Contexts {
		parts["context "+name] = c.Key
	}
	return parts, filepath.WalkDir(spec.Context, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(spec.Context, path)
		parts["file "+filepath.ToSlash(rel)] = fmt.Sprintf("%x", sha256.Sum256(text))
		return err
	})
}

// Folder implements [stages.Inputs].
func (w *World) Folder(ctx context.Context, dir string, include []string) (string, error) {
	parts, err := w.Parts(ctx, buildkit.Spec{Context: dir})
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, parts, include))), err
}

// Last implements [stages.History].
func (w *World) Last(name string) (buildkit.Parts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last[name], nil
}

// Note implements [stages.History].
func (w *World) Note(name string, parts buildkit.Parts) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		w.last = map[string]buildkit.Parts{}
	}
	w.last[name] = parts
	return nil
}

package solve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher/ignorefile"

	"github.com/slipway-ci/slipway/buildkit"
)

// sources are the files of a build.
type sources struct {
	dockerfile []byte
	entry      *tree // holds the Dockerfile, and ignore rules that say nothing
	context    *tree // what COPY and ADD can reach
}

func readSources(ctx context.Context, spec buildkit.Spec) (*sources, error) {
	name := spec.DockerfileName()
	dockerfile, err := os.ReadFile(filepath.Join(spec.Context, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no %s in %s (set dockerfile: to its path): %w", name, spec.Context, err)
	}
	if err != nil {
		return nil, err
	}
	rules, err := ignoreRules(spec)
	if err != nil {
		return nil, err
	}
	include, exclude := spec.Filter(rules)
	files, err := readTree(ctx, spec.Context, include, exclude)
	if err != nil {
		return nil, fmt.Errorf("context %s: %w", spec.Context, err)
	}
	return &sources{
		dockerfile: dockerfile,
		// The rules are applied; the frontend must neither look for them nor apply them again.
		entry:   memoryTree(map[string][]byte{name: dockerfile, name + ".dockerignore": []byte("#\n")}),
		context: files,
	}, nil
}

// ignoreRules returns the lines of the ignore file that counts.
func ignoreRules(spec buildkit.Spec) ([]string, error) {
	for _, name := range spec.IgnoreFiles() {
		text, err := os.ReadFile(filepath.Join(spec.Context, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rules, err := ignorefile.ReadAll(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return rules, nil
	}
	return nil, nil
}

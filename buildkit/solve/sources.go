package solve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher/ignorefile"

	"github.com/slipway-ci/slipway/buildkit"
)

// sources are the files of a build.
type sources struct {
	dockerfile []byte
	entry      *tree            // holds the Dockerfile, and ignore rules that say nothing
	context    *tree            // what COPY and ADD can reach
	folders    map[string]*tree // named contexts that are folders, by name
}

// readSources reads them; they are to be closed.
func readSources(ctx context.Context, spec buildkit.Spec, known Digests) (_ *sources, err error) {
	name := spec.DockerfileName()
	src := &sources{dockerfile: []byte(spec.Inline), folders: map[string]*tree{}}
	defer func() {
		if err != nil {
			src.close()
		}
	}()
	if spec.Inline == "" {
		src.dockerfile, err = os.ReadFile(filepath.Join(spec.Context, filepath.FromSlash(name)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no %s in %s (set dockerfile: to its path): %w", name, spec.Context, err)
	}
	if err != nil {
		return nil, err
	}
	if src.context, err = readFolder(ctx, spec, known); err != nil {
		return nil, err
	}
	for name, c := range spec.Contexts {
		if c.Folder == "" {
			continue
		}
		folder, err := readFolder(ctx, buildkit.Spec{Context: c.Folder}, known)
		if err != nil {
			return nil, err
		}
		src.folders[name] = folder
	}
	// The rules are applied; the frontend must neither look for them nor apply them again.
	src.entry = memoryTree(map[string][]byte{name: src.dockerfile, name + ".dockerignore": []byte("#\n")})
	return src, nil
}

// close ends the reading of files.
func (s *sources) close() {
	if s.context != nil {
		s.context.close()
	}
	for _, folder := range s.folders {
		folder.close()
	}
}

// readFolder reads what is sent of a folder. The tree is to be closed.
func readFolder(ctx context.Context, spec buildkit.Spec, known Digests) (*tree, error) {
	rules, err := ignoreRules(spec)
	if err != nil {
		return nil, err
	}
	include, exclude := spec.Filter(rules)
	files, err := readTree(ctx, spec.Context, include, exclude, known)
	if err != nil {
		return nil, fmt.Errorf("context %s: %w", spec.Context, err)
	}
	return files, nil
}

// trees returns all that is sent, by the names under which it is.
func (s *sources) trees() map[string]*tree {
	trees := map[string]*tree{"context": s.context, "dockerfile": s.entry}
	for name, folder := range s.folders {
		trees[mountOf(name)] = folder
	}
	return trees
}

// mountOf returns the name under which a named context is sent.
func mountOf(name string) string { return "context " + name }

// sized says how much was to be sent if that found a disk full.
func (s *sources) sized(err error) error {
	e, ok := errors.AsType[*buildkit.SolveError](err)
	if !ok || !strings.HasPrefix(e.Vertex, "[internal] load build context") || !strings.HasSuffix(e.Err.Error(), "no space left on device") {
		return err
	}
	e.Err = fmt.Errorf("the context has %s: %w", buildkit.Bytes(s.context.size()), e.Err)
	return e
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

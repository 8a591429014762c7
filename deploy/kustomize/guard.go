package kustomize

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"gopkg.in/yaml.v3"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/slipway-ci/slipway/deploy"
)

// guard is the file system that kustomize reads from. It reads each file once,
// and refuses what kustomize must not see. Kustomize hides the errors of a
// file system in its own, so the first refusal is kept aside.
type guard struct {
	onDisk
	stop             func() error // says that it is time to stop
	root             string       // names of files are relative to it
	maxFile, maxRead int64
	read             int64
	files            map[string]*file
	order            []string         // of files, as they were read: a base after what names it
	use              map[string]usage // of files and folders, by their real path
	schema           bool             // a kustomization names an OpenAPI schema
	last             *file            // the kustomization that was read last
	refusal          error
}

// file is what was read.
type file struct {
	name string // for people
	text []byte
	docs []*yaml.Node
}

// usage is what a kustomization names a path for; a path may have several.
type usage int

const (
	asResource usage = 1 << iota // its documents are objects
	asYAML                       // it is parsed, but holds no objects: a patch, a transformer
	asData                       // its bytes become a value of a ConfigMap or Secret
	asPlugins                    // a folder that configures transformers or generators
)

var _ filesys.FileSystem = (*guard)(nil)

func (r *Renderer) newGuard(root string, stop func() error) *guard {
	g := &guard{
		onDisk: onDisk{filesys.MakeFsOnDisk()}, stop: stop, root: unlinked(root),
		maxFile: r.MaxFile, maxRead: r.MaxRead,
		files: map[string]*file{}, use: map[string]usage{},
	}
	if g.maxFile == 0 {
		g.maxFile = 16 << 20
	}
	if g.maxRead == 0 {
		g.maxRead = 128 << 20
	}
	return g
}

// ReadFile reads a file for kustomize, if it may have it.
func (g *guard) ReadFile(path string) ([]byte, error) {
	path = unlinked(path)
	if err := g.stop(); err != nil {
		return nil, g.refuse(err)
	}
	f, err := g.load(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err // kustomize tries names
	}
	if err == nil {
		err = g.check(path, f)
	}
	if err != nil {
		return nil, g.refuse(g.located(path, err))
	}
	return f.text, nil
}

// load reads a file, once.
func (g *guard) load(path string) (*file, error) {
	if f := g.files[path]; f != nil {
		return f, nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%w: %s is a folder", os.ErrNotExist, g.name(path)) // kustomize goes on to try it as one
	case !info.Mode().IsRegular():
		return nil, errors.New("is no regular file")
	}
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	text, err := io.ReadAll(io.LimitReader(from, g.maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(text)) > g.maxFile:
		return nil, fmt.Errorf("is larger than %d bytes (split it)", g.maxFile)
	case g.read+int64(len(text)) > g.maxRead:
		return nil, fmt.Errorf("makes all files together larger than %d bytes (split the kustomization)", g.maxRead)
	}
	g.read += int64(len(text))
	f := &file{name: g.name(path), text: text}
	g.files[path] = f
	g.order = append(g.order, path)
	return f, nil
}

// check says why kustomize may not see a file. It is asked at every read, for
// what the file is used for may have become more.
func (g *guard) check(path string, f *file) error {
	if g.use[path] == asData && !isKustomization(path) {
		return nil // not parsed by anyone
	}
	if f.docs == nil {
		docs, invalid := parse(f.text)
		for _, doc := range docs {
			if err := overspent(doc, maxExpansion); err != nil {
				return err
			}
			if err := inlineOverspent(doc, 0); err != nil {
				return err
			}
		}
		if invalid != nil && (g.use[path] != 0 || isKustomization(path)) {
			return invalid
		}
		f.docs = docs
	}
	if isKustomization(path) {
		g.last = f
		return g.inspect(path, f)
	}
	for _, doc := range f.docs {
		if err := g.inspectPlugin("", doc); err != nil {
			return err
		}
	}
	return nil
}

// beside returns the path of what a kustomization names.
func beside(kustomization, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(kustomization), name)
}

func isKustomization(path string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path))
}

// plainKustomization refuses a kustomization that is a symbolic link: kustomize
// resolves what it names from the folder of the link, and shows us the target.
func (g *guard) plainKustomization(folder string) error {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if info, err := os.Lstat(filepath.Join(folder, name)); err == nil && info.Mode()&os.ModeSymlink != 0 {
			return &deploy.FileError{File: g.name(filepath.Join(folder, name)), Err: errors.New("is a symbolic link (a kustomization must be a file; link the folder)")}
		}
	}
	return nil
}

// refuse keeps the first refusal.
func (g *guard) refuse(err error) error {
	if g.refusal == nil {
		g.refusal = err
	}
	return err
}

// located says in which file and line an error is.
func (g *guard) located(path string, err error) error {
	located := &deploy.FileError{File: g.name(path), Err: err}
	var at *lineError
	if errors.As(err, &at) {
		located.Line, located.Err = at.line, at.err
	}
	return located
}

// name returns a path as people know it: relative to the root, with slashes.
func (g *guard) name(path string) string {
	if relative, err := filepath.Rel(g.root, path); err == nil {
		path = relative
	}
	return filepath.ToSlash(path)
}

// unlinked returns path without symbolic links, or path if it is not there.
func unlinked(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}

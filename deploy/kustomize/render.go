package kustomize

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"github.com/slipway-ci/slipway/deploy"
)

// A Renderer renders kustomizations. The zero value renders folders relative
// to the working directory.
type Renderer struct {
	Root    string // folders are relative to it, and so are the files that objects and errors name; empty: the working directory
	MaxFile int64  // bytes of one file; 0: 16 MiB
	MaxRead int64  // bytes of all files; 0: 128 MiB
}

// one keeps kustomizations apart: kustomize holds the OpenAPI schema that a
// kustomization names in memory which all share.
var one sync.Mutex

// Render returns the objects of the kustomization in dir, as and in the order
// that `kustomize build` prints them; see [Encode]. An object has its file and
// line where these can be known for sure.
//
// A folder without a kustomization is a *[deploy.NoKustomizationError]. What
// is wrong in a file, or refused, is a *[deploy.FileError].
func (r *Renderer) Render(ctx context.Context, dir string) ([]deploy.Object, error) {
	root, err := filepath.Abs(r.Root)
	if err != nil {
		return nil, err
	}
	folder := dir
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(root, dir)
	}
	if !hasKustomization(folder) {
		return nil, &deploy.NoKustomizationError{Dir: filepath.ToSlash(dir)}
	}
	one.Lock()
	defer one.Unlock()
	g := r.newGuard(root, func() error { return context.Cause(ctx) })
	folder = unlinked(folder)
	if err := g.plainKustomization(folder); err != nil {
		return nil, err
	}
	objs, err := inParts(g, folder)
	if err != nil {
		if g.refusal != nil { // kustomize comes upon files in another order
			g = r.newGuard(root, g.stop)
		}
		objs, err = whole(g, folder)
	}
	switch {
	case g.refusal != nil:
		return nil, g.refusal
	case err != nil:
		return nil, trimmed(err, g, dir)
	}
	sources := g.sources()
	for n := range objs {
		s, ok := origin(sources, objs[n])
		if !ok {
			continue
		}
		objs[n].File, objs[n].Line = s.file, s.line
		if s.body != nil {
			objs[n].Source = &lazily{g, s}
		}
	}
	return objs, nil
}

func hasKustomization(folder string) bool {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}

// inParts renders a tree in parts, or says why that may not be done.
func inParts(g *guard, folder string) ([]deploy.Object, error) {
	d, err := g.divided(folder, partSize)
	switch {
	case err != nil:
		return nil, err
	case !d.worthwhile():
		return nil, errors.New("nearly everything refers to everything")
	}
	return d.render()
}

// whole renders a tree in one go.
func whole(g *guard, folder string) ([]deploy.Object, error) {
	defer func() {
		if g.schema { // kustomize would keep it for the next kustomization
			openapi.ResetOpenAPI()
		}
	}()
	rendered, err := build(g, folder)
	if err != nil {
		return nil, err
	}
	return objects(rendered)
}

// build calls kustomize, with the options of its command line.
func build(files filesys.FileSystem, folder string) (rendered []*resource.Resource, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			rendered, err = nil, fmt.Errorf("kustomize broke down: %v", broken)
		}
	}()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	all, err := krusty.MakeKustomizer(options).Run(files, folder)
	if err != nil {
		return nil, err
	}
	return all.Resources(), nil
}

func objects(rendered []*resource.Resource) ([]deploy.Object, error) {
	objs := make([]deploy.Object, 0, len(rendered))
	for _, resource := range rendered {
		body, err := bodyOf(resource)
		if err != nil {
			return nil, err
		}
		objs = append(objs, deploy.Object{Body: body})
	}
	return objs, nil
}

func bodyOf(r *resource.Resource) (map[string]any, error) {
	if body, ok := plainBody(r.YNode()); ok {
		return body, nil
	}
	text, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	body, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.CurId(), err)
	}
	return body, nil
}

// onDisk is the file system as kustomize sees it, which is read only.
type onDisk struct{ filesys.FileSystem }

var errReadOnly = errors.New("rendering writes no files")

func (onDisk) Create(string) (filesys.File, error) { return nil, errReadOnly }
func (onDisk) Mkdir(string) error                  { return errReadOnly }
func (onDisk) MkdirAll(string) error               { return errReadOnly }
func (onDisk) RemoveAll(string) error              { return errReadOnly }
func (onDisk) WriteFile(string, []byte) error      { return errReadOnly }
func (onDisk) Open(string) (filesys.File, error)   { return nil, errReadOnly }

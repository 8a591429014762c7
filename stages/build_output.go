package stages

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// An Exporter hands images out in ways other than a push.
type Exporter interface {
	// Archive writes an image as an archive that containerd, kind, docker load and
	// tools for OCI layouts read, under a name with a tag.
	Archive(ctx context.Context, img buildkit.Image, name string, w io.Writer) error
	// Files writes the image's file system as a tar.
	Files(ctx context.Context, img buildkit.Image, w io.Writer, watch func(buildkit.Progress)) error
	// Loaded returns the id of the image that has the name in this machine's
	// engine; empty means that there is none.
	Loaded(ctx context.Context, name string) (string, error)
	// Load gives an archive to this machine's engine.
	Load(ctx context.Context, archive io.Reader) error
}

// An Output is a file or an engine that gets an image.
type Output struct {
	Type string `yaml:"type,required" enum:"oci,docker,containerd,kind,tar,folder" doc:"oci, containerd and kind are archives of the image, and so is docker, which without path is loaded into this machine's engine; tar and folder are its files."`
	Path string `yaml:"path" doc:"The file or folder to write, below the pipeline file's folder."`
	Name string `yaml:"name" doc:"Name and tag of the image in an archive or engine. Default: those of push, or the pipeline's and the stage's."`
}

func (o Output) check(field string) []error {
	errs := oneOf(field+".type", o.Type, "oci", "docker", "containerd", "kind", "tar", "folder")
	if o.Path == "" && o.Type != "docker" && !written(o.Type) {
		errs = append(errs, wrong(field, o.Type+" needs path: (where to write it)"))
	}
	if o.Path != "" && !written(o.Path) && !filepath.IsLocal(o.Path) {
		errs = append(errs, wrong(field+".path", "it leads out of the pipeline file's folder (want a path below it)"))
	}
	return errs
}

// An output is an Output in one scope.
type output struct {
	Output
	dir   string // of the pipeline file
	name  string // of the image
	key   string // of the build
	tools Tools
}

// unwritten returns the outputs that are not what they should be.
func (b *Build) unwritten(ctx context.Context, sc pipeline.Scope, p *product) ([]*output, error) {
	var all []*output
	for _, o := range b.Output {
		f := &output{Output: o, dir: sc.Dir, name: cmp.Or(o.Name, p.called(sc)), key: p.key, tools: b.tools}
		current, err := f.current(ctx)
		if err != nil {
			return nil, err
		}
		if !current || p.found.Digest == "" && b.Push != nil {
			all = append(all, f)
		}
	}
	return all, nil
}

// called is the name of an image that its output does not name.
func (p *product) called(sc pipeline.Scope) string {
	if p.goal == nil {
		return sc.Pipeline + "/" + pipeline.Slug(string(sc.Step)) + ":latest"
	}
	if len(p.goal.tags) > 0 {
		return p.goal.repository + ":" + p.goal.tags[0]
	}
	return p.goal.repository + ":latest"
}

func (o *output) loads() bool { return o.Type == "docker" && o.Path == "" }

func (o *output) effect() pipeline.Effect {
	if o.loads() {
		return pipeline.Effect{Verb: "load", Object: o.name}
	}
	return pipeline.Effect{Verb: "write", Object: o.Path, Detail: o.Type}
}

// keyed is the name that says which build an engine's image is of.
func (o *output) keyed() string { return repositoryOf(o.name) + ":" + buildkit.KeyTag(o.key) }

// current reports whether the output is there, and is of this very build.
func (o *output) current(ctx context.Context) (bool, error) {
	if o.key == "" {
		return false, nil
	}
	if o.loads() {
		want, err := o.tools.Exporter.Loaded(ctx, o.keyed())
		if err != nil || want == "" {
			return false, err
		}
		got, err := o.tools.Exporter.Loaded(ctx, o.name) // somebody may have given the name to another
		return got == want, err
	}
	mark, err := o.mark()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return o.tools.Memory.Recall(mark)
}

// mark is a digest over the key and what lies at the path: names, sizes, times.
func (o *output) mark() (string, error) {
	root, err := os.OpenRoot(o.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q\n", "output", o.key, o.Type, o.Path, o.name)
	err = fs.WalkDir(root.FS(), filepath.ToSlash(filepath.Clean(o.Path)), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %v", path, info.Mode())
		if !d.IsDir() {
			fmt.Fprintf(h, " %d %d", info.Size(), info.ModTime().UnixNano())
		}
		_, err = fmt.Fprintln(h)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// write writes or loads the image.
func (o *output) write(ctx context.Context, env *pipeline.Env, img buildkit.Image) error {
	ex := o.tools.Exporter
	if o.loads() {
		for _, name := range []string{o.keyed(), o.name} {
			if err := piped(func(w io.Writer) error { return ex.Archive(ctx, img, name, w) }, func(r io.Reader) error { return ex.Load(ctx, r) }); err != nil {
				return err
			}
		}
		return nil
	}
	files := func(w io.Writer) error { return ex.Files(ctx, img, w, progress(env)) }
	var err error
	switch o.Type {
	case "folder":
		err = piped(files, func(r io.Reader) error { return unpack(o.dir, o.Path, r) })
	case "tar":
		err = stream(o.dir, o.Path, 0o644, files)
	default:
		err = stream(o.dir, o.Path, 0o644, func(w io.Writer) error { return ex.Archive(ctx, img, o.name, w) })
	}
	if err != nil {
		return fmt.Errorf("output %s: %w", o.Path, err)
	}
	mark, err := o.mark()
	if err != nil || o.key == "" {
		return err
	}
	return o.tools.Memory.Remember(mark)
}

// piped joins who writes and who reads. The first error of either is returned.
func piped(from func(io.Writer) error, to func(io.Reader) error) error {
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := from(w)
		w.CloseWithError(err)
		sent <- err
	}()
	err := to(r)
	r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	// What comes back from a builder has no type any more, but its words.
	if cause := <-sent; cause != nil && (err == nil || !strings.Contains(cause.Error(), io.ErrClosedPipe.Error())) {
		return cause
	}
	return err
}

// repositoryOf returns a name without its tag.
func repositoryOf(name string) string {
	for i := len(name) - 1; i >= 0 && name[i] != '/'; i-- {
		if name[i] == ':' {
			return name[:i]
		}
	}
	return name
}

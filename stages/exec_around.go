package stages

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// Around is what a command sees beside its image, and what it leaves.
type Around struct {
	Source    Folder                    `yaml:"source" doc:"A folder that the command sees, read-only. Default: none."`
	Secrets   map[string]pipeline.Value `yaml:"secrets,secret" doc:"Secrets by id, each a file /run/secrets/<id>."`
	Artifacts []Artifact                `yaml:"artifacts" doc:"Files and folders that the command leaves, also when it fails."`
	JUnit     string                    `yaml:"junit" doc:"Path in the container of a test report in JUnit's XML: what failed is reported by name."`
}

// A Folder is one that a command sees.
type Folder struct {
	Path    string   `yaml:"path,short" doc:"The folder, relative to the pipeline file."`
	Include []string `yaml:"include" doc:"What of it, as patterns. Default: all but .git and what .dockerignore names."`
	At      string   `yaml:"mount" doc:"Where the command sees it. Default: /src."`
}

// An Artifact is a file or folder that a command leaves.
type Artifact struct {
	From string `yaml:"from,required,short" doc:"Its path in the container."`
	To   string `yaml:"to" doc:"Where it goes, below the pipeline file's folder. Default: its name."`
}

func (a Artifact) to() string { return cmp.Or(a.To, path.Base(a.From)) }

func (a Around) check() []error {
	var errs []error
	absolute := func(field, p string) {
		if p != "" && !written(p) && !path.IsAbs(p) {
			errs = append(errs, wrong(field, "want an absolute path in the container"))
		}
	}
	absolute("source.mount", a.Source.At)
	absolute("junit", a.JUnit)
	if a.Source.Path == "" && (a.Source.At != "" || len(a.Source.Include) > 0) {
		errs = append(errs, wrong("source", "which folder is missing (want path:)"))
	}
	for i, f := range a.Artifacts {
		absolute(at("artifacts", i)+".from", f.From)
		if to := f.to(); !written(to) && (!filepath.IsLocal(to) || filepath.Clean(to) == ".") {
			errs = append(errs, wrong(at("artifacts", i), "it would be written to "+to+" (want to: a path below the pipeline file's folder)"))
		}
	}
	for id := range a.Secrets {
		if strings.ContainsAny(id, "/\x00") || id == "." || id == ".." {
			errs = append(errs, wrong("secrets."+id, "an id is the name of a file, without slashes"))
		}
	}
	return errs
}

// writes are the effects beside the sources.
func (a Around) writes() []pipeline.Effect {
	var effects []pipeline.Effect
	for _, f := range a.Artifacts {
		effects = append(effects, pipeline.Effect{Verb: "write", Object: f.to()})
	}
	return effects
}

// left reports whether all that the command leaves is there.
func (a Around) left(dir string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	for _, f := range a.Artifacts {
		if _, err := root.Lstat(f.to()); err != nil {
			return false
		}
	}
	return true
}

// counts is what can change how the command ends. Of secrets, only ids count.
func (a Around) counts(ctx context.Context, in Inputs, sc pipeline.Scope) ([]string, error) {
	words := []string{a.JUnit}
	if a.Source.Path != "" {
		sum, err := in.Folder(ctx, within(sc.Dir, a.Source.Path), a.Source.Include)
		if err != nil {
			return nil, &pipeline.FieldError{Field: "source", Code: "bad-value", Err: err}
		}
		words = append(words, "source", sum, a.at())
	}
	for _, id := range pipeline.Keys(a.Secrets) {
		words = append(words, "secret", id)
	}
	for _, f := range a.Artifacts {
		words = append(words, "artifact", f.From, f.to())
	}
	return words, nil
}

func (a Around) at() string { return cmp.Or(a.Source.At, "/src") }

// around adds to a command what it sees and leaves.
func (a Around) around(env *pipeline.Env, cmd *buildkit.Command) error {
	dir := env.Scope.Dir
	if a.Source.Path != "" {
		cmd.Source = &buildkit.Source{Folder: within(dir, a.Source.Path), Include: a.Source.Include, At: a.at()}
	}
	cmd.Files = map[string]string{}
	for id, v := range a.Secrets {
		text, err := v.Text(env.Scope)
		if err != nil {
			return err
		}
		cmd.Files[id] = text
	}
	to := map[string]string{}
	for _, f := range a.Artifacts {
		to[f.From] = f.to()
		cmd.Take = append(cmd.Take, f.From)
	}
	if _, also := to[a.JUnit]; a.JUnit != "" && !also {
		cmd.Take = append(cmd.Take, a.JUnit)
	}
	cmd.Taken = func(from string, archive io.Reader) error {
		if from == a.JUnit {
			report, err := readReport(archive, dir, to[from])
			if err == nil {
				err = report.tell(env)
			}
			return err
		}
		if err := place(dir, to[from], archive); err != nil {
			return err
		}
		env.Notef("wrote %s", to[from])
		return nil
	}
	return nil
}

// place writes what a tar of one file or folder holds.
func place(dir, to string, archive io.Reader) error {
	r := tar.NewReader(archive)
	h, err := r.Next()
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return unpackFrom(dir, to, r)
	}
	if h.Typeflag != tar.TypeReg {
		return errors.New("it is neither a file nor a folder")
	}
	return stream(dir, to, h.FileInfo().Mode().Perm(), func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}

// readReport returns the report in a tar of one file, and writes it to a path if
// that is named.
func readReport(archive io.Reader, dir, to string) (*testReport, error) {
	r := tar.NewReader(archive)
	h, err := r.Next()
	if err != nil {
		return nil, err
	}
	if h.Typeflag != tar.TypeReg || h.Size > maxReport {
		return nil, errors.New("it is no test report")
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if to != "" {
		if err := replace(dir, to, text, 0o644); err != nil {
			return nil, err
		}
	}
	return parseReport(text)
}

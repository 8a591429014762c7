// Package stagestest has a working stand-in for the world outside slipway: a
// builder, a registry and a cluster that live in memory and remember what was
// asked of them. Tests use it instead of mocks.
//
// # Owns
//
// [World].
//
// # May touch
//
// Packages stages, buildkit and deploy, for their words and interfaces.
package stagestest

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/stages"
)

// A World is a builder, registry, renderer and cluster in memory. The zero
// World is empty and ready to use; set Down* to break a part of it.
type World struct {
	RegistryDown bool   // nothing is found out, nothing is pushed
	ClusterDown  bool   // nothing is found out, nothing is applied
	FailBuild    error  // Build returns it
	FailExec     error  // Exec returns it
	Runs         string // digest that pods report instead of the pinned one
	Breaks       string // digest whose pods never become ready
	Held         error  // Held and Lock return it
	Locked       error  // Lock returns it

	mu      sync.Mutex
	built   map[string]bool          // digests that the builder holds
	Images  map[string]string        // pushed reference → digest
	Objects map[string]deploy.Object // what is in the cluster
	Jobs    map[string]deploy.Job    // those that succeeded in the cluster, by namespace and name
	passed  map[string]bool
	history map[string][]deploy.Revision // by deployment, the newest first
	last    map[string]buildkit.Parts
	dates   map[string]time.Time
	loaded  map[string]bool
	Now     time.Time // when images are built; zero means now
	Log     []string  // every change, in order
}

// Tools returns w as the tools of package stages.
func (w *World) Tools() stages.Tools {
	return stages.Tools{Inputs: w, Builder: w, Registry: w, Executor: w, Memory: w, History: w, Copier: w, Dater: w, Exporter: w, Renderer: w, Validator: w, Cluster: w, Rollout: w, Keeper: keeper{w}, Prober: w, Proxy: proxy{w}, Jobs: w}
}

// did notes a change of the world.
func (w *World) did(format string, args ...any) {
	w.Log = append(w.Log, fmt.Sprintf(format, args...))
}

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

// Built implements [stages.Dater].
func (w *World) Built(_ context.Context, img buildkit.Image, key string) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dates[img.Repository+img.Digest+key], nil
}

// Date implements [stages.Dater].
func (w *World) Date(_ context.Context, img buildkit.Image, key string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dates == nil {
		w.dates = map[string]time.Time{}
	}
	when := w.Now
	if when.IsZero() {
		when = time.Now()
	}
	w.dates[img.Repository+img.Digest+key] = when
	return nil
}

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
func (w *World) Loaded(_ context.Context, name string) (bool, error) {
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
		w.loaded = map[string]bool{}
	}
	name, _, _ := strings.Cut(string(text), " ")
	w.loaded[name] = true
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

// Resolve implements [stages.Registry].
func (w *World) Resolve(_ context.Context, ref string) (buildkit.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.RegistryDown {
		return buildkit.Image{}, &buildkit.RegistryError{Host: buildkit.Host(ref), Ref: ref, Err: errors.New("connection refused")}
	}
	digest, ok := w.Images[ref]
	if !ok {
		return buildkit.Image{}, fmt.Errorf("%s: %w", ref, buildkit.ErrNotFound)
	}
	return buildkit.Image{Digest: digest, Repository: deploy.Repository(ref)}, nil
}

// Push implements [stages.Registry].
func (w *World) Push(_ context.Context, img buildkit.Image, repository string, tags []string, _ func(buildkit.Progress)) (buildkit.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.RegistryDown {
		return img, &buildkit.RegistryError{Host: buildkit.Host(repository), Ref: repository, Err: errors.New("connection refused")}
	}
	if !w.built[img.Digest] {
		return img, fmt.Errorf("the builder has no image %q", img.Digest)
	}
	return w.put(img, repository, tags), nil
}

// Copy implements [stages.Copier].
func (w *World) Copy(_ context.Context, img buildkit.Image, repository string, tags []string, _ func(buildkit.Progress)) (buildkit.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(img, repository, tags), nil
}

func (w *World) put(img buildkit.Image, repository string, tags []string) buildkit.Image {
	if w.Images == nil {
		w.Images = map[string]string{}
	}
	w.Images[repository+"@"+img.Digest] = img.Digest
	for _, t := range tags {
		w.Images[repository+":"+t] = img.Digest
	}
	w.did("push %s", repository)
	img.Repository, img.Tags = repository, tags
	return img
}

// Render makes one Deployment of every file in dir that is called *.image: its
// text is the repository.
func (w *World) Render(_ context.Context, dir string) ([]deploy.Object, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.image"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, &deploy.NoKustomizationError{Dir: filepath.Base(dir)})
	}
	var objs []deploy.Object
	for _, f := range files {
		repository, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(f), ".image")
		objs = append(objs, deploy.Object{File: f, Line: 1, Body: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name, "namespace": "shop"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
				"containers": []any{map[string]any{"name": name, "image": strings.TrimSpace(string(repository))}},
			}}},
		}})
	}
	return objs, nil
}

// Encode implements [stages.Renderer].
func (w *World) Encode(objs []deploy.Object) ([]byte, error) {
	return json.MarshalIndent(objs, "", "  ")
}

// Check implements [stages.Cluster].
func (w *World) Check(context.Context, string) (string, error) {
	if w.ClusterDown {
		return "default", &deploy.ClusterError{Server: "https://cluster", Doing: "identify", Err: errors.New("connection refused")}
	}
	return "default", nil
}

// Diff compares objs with the cluster.
func (w *World) Diff(_ context.Context, set deploy.Set) ([]deploy.Change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changes []deploy.Change
	for _, o := range set.Objects {
		op := deploy.Create
		if old, ok := w.Objects[o.String()]; ok {
			op = deploy.Configure
			a, _ := json.Marshal(old.Body)
			b, _ := json.Marshal(o.Body)
			if slices.Equal(a, b) {
				op = deploy.Unchanged
			}
		}
		changes = append(changes, deploy.Change{Object: o, Op: op})
	}
	return changes, nil
}

// Apply puts objs into the cluster.
func (w *World) Apply(ctx context.Context, set deploy.Set, _ []deploy.Change, watch func(deploy.Status)) error {
	changes, err := w.Diff(ctx, set)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Objects == nil {
		w.Objects = map[string]deploy.Object{}
	}
	for _, c := range changes {
		if c.Op != deploy.Unchanged {
			w.Objects[c.Object.String()] = c.Object
			w.did("%s %s", c.Op, c.Object)
			watch(deploy.Status{Object: c.Object.String(), Message: string(c.Op)})
		}
	}
	return nil
}

// Readable says that w understands every condition.
func (*World) Readable(string) error { return nil }

// Wait says that pods run what is pinned, or w.Runs.
func (w *World) Wait(_ context.Context, set deploy.Set, _ []deploy.Change, _ time.Duration, _ func(deploy.Status)) ([]deploy.Verdict, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var verdicts, failed []deploy.Verdict
	for _, p := range set.Pins {
		if strings.HasPrefix(p.Object, "Job ") && w.FailExec != nil {
			return nil, &deploy.RolloutError{Verdicts: []deploy.Verdict{{Object: p.Object, Code: deploy.JobFailed, Cause: w.FailExec.Error()}}}
		}
		v := deploy.Verdict{Object: p.Object, Code: deploy.Proven, Ready: 1, Want: 1, Digests: []string{p.Digest}}
		if w.Breaks == p.Digest {
			v.Code, v.Cause = deploy.CrashLoop, "exit code 3"
			failed = append(failed, v)
		}
		if w.Runs != "" && w.Runs != p.Digest {
			v.Code, v.Cause = deploy.WrongDigest, "runs "+w.Runs
			failed = append(failed, v)
		}
		verdicts = append(verdicts, v)
	}
	if len(failed) > 0 {
		return verdicts, &deploy.RolloutError{Verdicts: failed}
	}
	return verdicts, nil
}

// Ask answers 200 while the cluster has anything.
func (w *World) Ask(context.Context, deploy.Request) (deploy.Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.Objects) == 0 {
		return deploy.Answer{Status: 503}, nil
	}
	return deploy.Answer{Status: 200, Body: []byte("ok")}, nil
}

// proxy is a World as a [stages.Proxy].
type proxy struct{ *World }

func (p proxy) Ask(ctx context.Context, _ string, r deploy.Request) (deploy.Answer, error) {
	return p.World.Ask(ctx, r)
}

// JobState implements [stages.Jobs].
func (w *World) JobState(_ context.Context, job deploy.Object) (deploy.JobState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.Jobs[job.Namespace()+"/"+job.Name()]; ok {
		return deploy.JobState{Phase: deploy.JobSucceeded}, nil
	}
	return deploy.JobState{}, nil
}

// StartJob runs a Job, which succeeds unless FailExec is set.
func (w *World) StartJob(_ context.Context, job deploy.Job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did("job %s", job.Object.Name())
	if w.FailExec == nil {
		if w.Jobs == nil {
			w.Jobs = map[string]deploy.Job{}
		}
		w.Jobs[job.Object.Namespace()+"/"+job.Object.Name()] = job
	}
	return nil
}

// FollowJob implements [stages.Jobs].
func (w *World) FollowJob(_ context.Context, _ deploy.Object, line func(string)) error {
	line("done")
	return nil
}

// StopJob implements [stages.Jobs].
func (w *World) StopJob(context.Context, deploy.Object) error { return nil }

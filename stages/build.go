package stages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// Inputs finds out what a build depends on. It reads files, may check out git
// repositories, and may ask a registry for the digests of base images; it changes
// nothing but what it remembers.
type Inputs interface {
	// Inputs returns the key of a build and what it stands for.
	Inputs(ctx context.Context, spec buildkit.Spec) (buildkit.Inputs, error)
	// Parts returns the inputs one by one, of a spec with what Inputs found out.
	Parts(ctx context.Context, spec buildkit.Spec) (buildkit.Parts, error)
	// Folder returns a digest over what is sent of a folder.
	Folder(ctx context.Context, dir string, include []string) (string, error)
}

// A Builder builds images and holds them.
type Builder interface {
	// Build builds spec and leaves the image in the builder, nowhere else. It
	// may be called again after a failure.
	Build(ctx context.Context, spec buildkit.Spec, watch func(buildkit.Progress)) (buildkit.Image, error)
}

// Build is the kind "build". It promises the image and its digest, and with
// push: its repository, tags and reference.
type Build struct {
	Context    string                    `yaml:"context" doc:"The folder that is sent to the builder, or a git repository: URL#ref:subdir. Default: the pipeline file's folder."`
	Include    []string                  `yaml:"include" doc:"What of the context is sent and hashed, as patterns. Default: all but .git and what .dockerignore names."`
	Dockerfile Dockerfile                `yaml:"dockerfile" doc:"Path of the Dockerfile within the context, or its text as inline. Default: Dockerfile."`
	Target     string                    `yaml:"target" doc:"Stage of the Dockerfile to build. Default: the last."`
	Platforms  []string                  `yaml:"platforms" doc:"Such as linux/amd64 and linux/arm64. Default: the builder's own."`
	Args       map[string]string         `yaml:"args" doc:"Values of ARG in the Dockerfile. They end up in the image, so no secret may stand here."`
	Contexts   map[string]pipeline.Value `yaml:"contexts,image" doc:"What FROM and COPY --from mean by a name: an image of a stage, a reference, a folder (./ or ../), or a git repository."`
	Secrets    map[string]pipeline.Value `yaml:"secrets,secret" doc:"Secrets by id, for RUN --mount=type=secret,id=…. They don't end up in the image."`
	SSH        map[string]string         `yaml:"ssh" doc:"By id, for RUN --mount=type=ssh: the path of a key or of an agent's socket, or agent for the one of SSH_AUTH_SOCK."`
	Allow      []string                  `yaml:"allow" doc:"What the Dockerfile may use besides: network.host, security.insecure, or a frontend's image named by # syntax=."`
	Network    string                    `yaml:"network" enum:"none,host" doc:"Which network RUN has: none, or that of the builder's host. Default: the builder's."`
	Ulimits    map[string]string         `yaml:"ulimits" doc:"Limits of RUN: nofile: 1024:2048 is the soft one and the hard one."`
	NoCache    bool                      `yaml:"noCache" doc:"When it is built, run every step anew."`
	Made       `yaml:",inline"`
	Cache      Cache    `yaml:"cache" doc:"Where steps are kept beyond the builder: auto, none, or from and to. Default: auto."`
	Attest     Attest   `yaml:"attest" doc:"Statements about the image, which lie beside it as referrers. Default: none."`
	Reuse      Reuse    `yaml:"reuse" doc:"Where an image for the same inputs is looked for; false always builds. Default: in push.repository."`
	Output     []Output `yaml:"output" doc:"Files and engines that get the image, besides push."`
	Push       *Target  `yaml:"push" doc:"Where the image goes. What is there for the same inputs is not built again. Default: only other stages can use the image."`

	tools Tools
}

// A Dockerfile is a file of the context, or its text.
type Dockerfile struct {
	Path   string `yaml:"path,short" doc:"Path within the context."`
	Inline string `yaml:"inline,literal" doc:"The text of the Dockerfile. It takes no expressions: put values into args."`
}

// Made says what the image is besides its files.
type Made struct {
	Labels      map[string]string `yaml:"labels" doc:"Labels of the image's config."`
	Annotations map[string]string `yaml:"annotations" doc:"Annotations of the image's manifests; an empty one takes a default away. Defaults: title, base.name and base.digest of org.opencontainers.image."`
	Compression Compression       `yaml:"compression" doc:"How layers are compressed. Default: gzip."`
	Epoch       string            `yaml:"epoch" doc:"The time of all that is made, in seconds since 1970, or commit for the commit's, which makes another image of every commit. Default: 0."`
}

// Compression is how layers are compressed.
type Compression struct {
	Type  string `yaml:"type,short" enum:"gzip,zstd,estargz,uncompressed" doc:"The compressor. Default: gzip."`
	Level int    `yaml:"level" doc:"How hard it tries. Default: its own."`
}

// Outputs implements [pipeline.Outputter].
func (b *Build) Outputs() map[string]pipeline.Type {
	if b.Push == nil {
		return map[string]pipeline.Type{"image": pipeline.Image, "digest": pipeline.String, "key": pipeline.String}
	}
	return b.Push.outputs()
}

// Check implements [pipeline.Checker].
func (b *Build) Check() []error {
	var errs []error
	add := func(field, code, format string, args ...any) {
		errs = append(errs, &pipeline.FieldError{Field: field, Code: code, Err: fmt.Errorf(format, args...)})
	}
	if b.Dockerfile.Inline != "" && b.Dockerfile.Path != "" {
		add("dockerfile", "bad-value", "both path and inline are set (want one of them)")
	}
	errs = append(errs, oneOf("network", b.Network, "none", "host")...)
	errs = append(errs, oneOf("compression.type", b.Compression.Type, "gzip", "zstd", "estargz", "uncompressed")...)
	if _, ok := seconds(b.Epoch); !ok && b.Epoch != "commit" && !written(b.Epoch) {
		add("epoch", "bad-value", "%q is no time (want seconds since 1970, or commit)", b.Epoch)
	}
	errs = append(errs, b.Cache.check("cache")...)
	errs = append(errs, b.Attest.check("attest")...)
	errs = append(errs, b.Reuse.check("reuse")...)
	for i, o := range b.Output {
		errs = append(errs, o.check(fmt.Sprintf("output[%d]", i))...)
	}
	if b.Push != nil {
		errs = append(errs, b.Push.check("push")...)
	}
	return errs
}

// oneOf is the error of a word that is not among those that are known.
func oneOf(field, word string, known ...string) []error {
	if word == "" || written(word) || slices.Contains(known, word) {
		return nil
	}
	return []error{&pipeline.FieldError{Field: field, Code: "bad-value", Err: fmt.Errorf("%q is not known here%s (want one of %s)", word, pipeline.Nearest(word, known), strings.Join(known, ", "))}}
}

// Plan finds the input key, and with it the image that a repository may already
// hold. A build that goes nowhere is lazy: others need it or nobody does.
func (b *Build) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	var act pipeline.Action
	p := &product{Build: b}
	var err error
	if p.spec, p.key, err = b.spec(ctx, sc, &act); err != nil {
		return act, err
	}
	if err := p.look(ctx, sc, &act); err != nil {
		return act, err
	}
	if p.found.Digest == "" {
		if err := p.why(ctx, sc, &act); err != nil {
			return act, err
		}
		act.Effects, act.Builds, act.Turn = append(act.Effects, b.effect(p.spec)), true, true
	}
	p.promise(sc.Step, &act)
	if p.goal != nil {
		act.Effects = append(act.Effects, p.goal.effects()...)
	}
	if p.files, err = b.unwritten(ctx, sc, p); err != nil {
		return act, err
	}
	act.Lazy = b.Push == nil && len(p.files) == 0
	act.Served = act.Lazy && len(b.Output) > 0
	for _, f := range p.files {
		act.Effects, act.Builds = append(act.Effects, f.effect()), true
	}
	if len(act.Effects) > 0 {
		act.Do = p.do
	}
	return act, nil
}

// effect is the build itself.
func (b *Build) effect(spec buildkit.Spec) pipeline.Effect {
	return pipeline.Effect{Verb: "build", Object: b.object(spec), Detail: strings.Join(b.Platforms, ", ")}
}

// object names what is built, for people.
func (b *Build) object(spec buildkit.Spec) string {
	switch {
	case spec.Git != nil && spec.Git.Commit != "":
		return fmt.Sprintf("%s at %.12s", b.Context, spec.Git.Commit)
	case spec.Git != nil:
		return b.Context
	case spec.Inline != "":
		return filepath.ToSlash(filepath.Clean(b.Context))
	}
	return filepath.ToSlash(filepath.Join(b.Context, spec.DockerfileName()))
}

// spec returns what to build and the input key. The key is empty, and
// act.Unchecked says why, when a registry did not tell what a base is.
func (b *Build) spec(ctx context.Context, sc pipeline.Scope, act *pipeline.Action) (buildkit.Spec, string, error) {
	spec := buildkit.Spec{
		Include: b.Include, Dockerfile: b.Dockerfile.Path, Inline: b.Dockerfile.Inline,
		Target: b.Target, Platforms: b.Platforms, Args: b.Args, Allow: b.Allow,
		Contexts: map[string]buildkit.Context{}, Secrets: map[string]string{},
		Run:    buildkit.Run{Network: b.Network, Ulimits: b.Ulimits, NoCache: b.NoCache},
		Attest: b.Attest.spec(),
		Cache:  b.Cache.spec(sc),
	}
	if g, ok := buildkit.ParseGit(b.Context); ok {
		spec.Git = &g
	} else {
		spec.Context = within(sc.Dir, b.Context)
	}
	var err error
	if spec.SSH, err = b.agents(sc); err != nil {
		return spec, "", err
	}
	if spec.Result, err = b.result(sc, act); err != nil {
		return spec, "", err
	}
	known := true
	for name, v := range b.Contexts {
		c, err := b.named(ctx, sc, v, act)
		if err != nil {
			return spec, "", err
		}
		known = known && (c.Key != "" || c.Folder != "" || c.Git != nil)
		spec.Contexts[name] = c
	}
	for id := range b.Secrets {
		spec.Secrets[id] = ""
	}
	if !known { // the stage that could not be checked says so itself
		return spec, "", nil
	}
	in, err := b.tools.Inputs.Inputs(ctx, spec)
	if err != nil {
		return spec, "", b.unknown(sc, act, err)
	}
	spec.Context, spec.Contexts, spec.Bases = in.Context, in.Contexts, in.Bases
	if in.Base != "" { // follows from the inputs, so it is no input itself
		spec.Result.Annotations = maps.Clone(spec.Result.Annotations)
		b.annotate(spec.Result.Annotations, "base.name", in.Base)
		b.annotate(spec.Result.Annotations, "base.digest", in.BaseSum)
	}
	return spec, in.Key, nil
}

// unknown says why the inputs are not known: a registry that did not answer is
// only noted, anything else is an error at its place.
func (b *Build) unknown(sc pipeline.Scope, act *pipeline.Action, err error) error {
	var refused *buildkit.RegistryError
	var away *buildkit.GitError
	file := "context"
	if b.Dockerfile.Path != "" {
		file = "dockerfile"
	}
	switch {
	case errors.As(err, &refused), errors.As(err, &away):
		act.Unchecked = append(act.Unchecked, err)
		return nil
	case errors.Is(err, buildkit.ErrNoDockerfile):
		return &pipeline.FieldError{Field: file, Code: "no-dockerfile", Err: b.relative(sc, err)}
	case errors.Is(err, buildkit.ErrNoContext):
		return &pipeline.FieldError{Field: "context", Code: "no-context", Err: b.relative(sc, err)}
	}
	return b.located(sc, err)
}

// result says what the image is besides its files.
func (b *Build) result(sc pipeline.Scope, act *pipeline.Action) (buildkit.Result, error) {
	r := buildkit.Result{
		Labels: b.Labels, Annotations: map[string]string{},
		Compression: buildkit.Compression{Type: b.Compression.Type, Level: b.Compression.Level},
	}
	if b.Push != nil {
		b.annotate(r.Annotations, "title", string(sc.Step)) // not the repository: what is pushed to two has one digest
	}
	for name, text := range b.Annotations {
		if text != "" {
			r.Annotations[name] = text
		}
	}
	r.Epoch, _ = seconds(b.Epoch)
	if b.Epoch == "commit" {
		epoch, err := commitTime(sc)
		if err != nil {
			return r, &pipeline.FieldError{Field: "epoch", Code: "bad-value", Err: err}
		}
		r.Epoch = epoch
		act.Notes = append(act.Notes, "epoch: commit makes another image of every commit, even of the same files")
	}
	return r, nil
}

// annotate sets one of the standard annotations, unless the user did.
//
// See https://github.com/opencontainers/image-spec/blob/main/annotations.md.
func (b *Build) annotate(all map[string]string, name, text string) {
	name = "org.opencontainers.image." + name
	if _, own := b.Annotations[name]; !own {
		all[name] = text
	}
}

// agents returns the paths of keys and sockets for RUN --mount=type=ssh.
func (b *Build) agents(sc pipeline.Scope) (map[string]string, error) {
	agents := map[string]string{}
	for id, path := range b.SSH {
		switch path {
		case "":
			return nil, &pipeline.FieldError{Field: "ssh." + id, Code: "bad-value", Err: errors.New("it is empty (want the path of a key or socket, or agent)")}
		case "agent":
			agents[id] = ""
		default:
			agents[id] = within(sc.Dir, path)
		}
	}
	return agents, nil
}

// located gives a fault in the Dockerfile its place in that file, which says
// more than the place of the stage.
func (b *Build) located(sc pipeline.Scope, err error) error {
	var solve *buildkit.SolveError
	if !errors.As(err, &solve) || solve.Line == 0 {
		return err
	}
	if b.Dockerfile.Inline != "" {
		return &pipeline.FieldError{Field: "dockerfile.inline", Code: "build-failed", Err: fmt.Errorf("line %d: %s: %w", solve.Line, solve.Source, err)}
	}
	if _, ok := buildkit.ParseGit(b.Context); ok {
		return &pipeline.FieldError{Field: "context", Code: "build-failed", Err: fmt.Errorf("%s:%d: %s: %w", solve.File, solve.Line, solve.Source, err)}
	}
	return &pipeline.Error{Pos: pipeline.Pos{File: b.file(sc, solve.File), Line: solve.Line, Col: 1}, Code: "build-failed", Err: err}
}

// file returns how the user calls a file of the context.
func (b *Build) file(sc pipeline.Scope, name string) string {
	if name == buildkit.InlineName {
		return sc.File
	}
	if _, ok := buildkit.ParseGit(b.Context); ok || name == "" {
		return name
	}
	return filepath.Join(within(filepath.Dir(sc.File), b.Context), name)
}

// relative returns err with the context as the user wrote it.
func (b *Build) relative(sc pipeline.Scope, err error) error {
	written := filepath.ToSlash(filepath.Clean(b.Context))
	if written != "." && !strings.HasPrefix(written, "..") && !filepath.IsAbs(b.Context) {
		written = "./" + written
	}
	return errors.New(strings.ReplaceAll(err.Error(), within(sc.Dir, b.Context), written))
}

// named returns the named context that v is. While planning, an image that
// another stage builds is known by its input key.
func (b *Build) named(ctx context.Context, sc pipeline.Scope, v pipeline.Value, act *pipeline.Action) (buildkit.Context, error) {
	c := buildkit.Context{Key: keyOf(sc, v)}
	if c.Key != "" || len(v.Refs()) > 0 {
		return c, nil
	}
	if text, err := v.Text(sc); err == nil {
		if g, ok := buildkit.ParseGit(text); ok {
			return buildkit.Context{Git: &g}, nil
		}
		if isFolder(text) {
			return buildkit.Context{Folder: within(sc.Dir, text)}, nil
		}
	}
	img, err := literal(ctx, b.tools.Registry, sc, v, act)
	return buildkit.Context{Key: img.Digest, Image: image(img)}, err
}

// isFolder tells the path of a folder from the reference of an image.
func isFolder(text string) bool {
	return text == "." || text == ".." || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") || filepath.IsAbs(text)
}

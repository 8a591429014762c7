package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// An Executor runs commands inside images.
type Executor interface {
	// Exec runs cmd once. A command that ends with a code that is not zero is a
	// [buildkit.ExitError]. The image is not changed.
	Exec(ctx context.Context, cmd buildkit.Command, watch func(buildkit.Progress)) error
}

// A Memory remembers which commands have succeeded. It is of this machine.
type Memory interface {
	// Recall reports whether the command with this key has succeeded before.
	Recall(key string) (bool, error)
	// Remember notes that it has.
	Remember(key string) error
}

// Exec is the kind "exec": a command in an image, in the builder or in the cluster.
type Exec struct {
	Image   pipeline.Value            `yaml:"image,required,image" doc:"The image to run in: of a stage, or a reference."`
	Command []pipeline.Value          `yaml:"command" doc:"The program and its arguments. Default: what the image runs."`
	Script  string                    `yaml:"script,literal" doc:"Lines for /bin/sh -eu, in place of command. It takes no expressions: put values into env."`
	Workdir string                    `yaml:"workdir" doc:"Folder to run in. Default: the image's own."`
	User    string                    `yaml:"user" doc:"Who runs it, by name or number. Default: the image's own."`
	Env     map[string]pipeline.Value `yaml:"env,secret" doc:"Environment variables. Secrets may stand here."`
	Network string                    `yaml:"network" enum:"none,host,private" doc:"Which network the command has: none, that of the builder's host, or one of its own. Default: none."`
	Cache   bool                      `yaml:"cache" doc:"Don't run again what has succeeded with the same image, words, files and environment."`
	Around  `yaml:",inline"`

	In             string     `yaml:"in" enum:"builder,cluster" doc:"Where it runs: in the builder, or as a Job in the environment's namespace. Default: builder."`
	EnvFrom        []Source   `yaml:"envFrom" doc:"Secrets and ConfigMaps of the namespace that become environment variables. For in: cluster."`
	ServiceAccount string     `yaml:"serviceAccount" doc:"Whose token the Job gets. Default: it gets none. For in: cluster."`
	Resources      *Resources `yaml:"resources" doc:"What it needs of a node. For in: cluster."`
	Rerun          bool       `yaml:"rerun" doc:"Run also what has succeeded with the same content. For in: cluster."`

	inputs   Inputs
	executor Executor
	memory   Memory
	registry Registry
	cluster  Cluster
	jobs     Jobs
	rollout  Rollout
}

// Check implements [pipeline.Checker].
func (e *Exec) Check() []error {
	var errs []error
	if e.Script != "" && len(e.Command) > 0 {
		errs = append(errs, &pipeline.FieldError{Field: "script", Code: "two-commands", Err: errors.New("command is set, too (want one of them)")})
	}
	errs = append(errs, oneOf("network", e.Network, "none", "host", "private")...)
	errs = append(errs, e.check()...)
	return append(errs, e.checkCluster()...)
}

// Plan finds out whether the command has to run: one that may be cached and has
// succeeded with the same image and words has not.
func (e *Exec) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	if e.In == inCluster {
		return e.planCluster(ctx, sc)
	}
	act := pipeline.Action{Builds: true, Effects: []pipeline.Effect{{Verb: "run", Object: e.image(sc), Detail: e.words(sc)}}}
	var err error
	if e.Image, err = settled(ctx, e.registry, sc, e.Image, &act); err != nil {
		return act, err
	}
	act.Effects = append(act.Effects, e.writes()...)
	key, err := e.key(ctx, sc)
	if err != nil {
		return act, err
	}
	if key != "" {
		done, err := e.memory.Recall(key)
		if err != nil {
			return act, err
		}
		if done && e.left(sc.Dir) {
			return pipeline.Action{Notes: []string{"cached: it has succeeded with the same image and command"}}, nil
		}
	}
	act.Do = func(ctx context.Context, env *pipeline.Env) error {
		cmd, err := e.command(env.Scope)
		if err != nil {
			return err
		}
		if err := e.around(env, &cmd); err != nil {
			return err
		}
		if err := e.executor.Exec(ctx, cmd, progress(env)); err != nil || key == "" {
			return err
		}
		return e.memory.Remember(key)
	}
	return act, nil
}

// words are the command for people, as far as they are known.
func (e *Exec) words(sc pipeline.Scope) string {
	var words []string
	for _, w := range e.Command {
		words = append(words, w.Show(sc))
	}
	return strings.Join(words, " ")
}

// image names the image for people.
func (e *Exec) image(sc pipeline.Scope) string {
	for _, r := range e.Image.Refs() {
		return "image of " + string(r.In(sc).Step())
	}
	return e.Image.String()
}

// key returns the sha256 over all that can change how the command ends, or ""
// when it may not be cached or something is not known yet. Of secrets, only the
// names count.
func (e *Exec) key(ctx context.Context, sc pipeline.Scope) (string, error) {
	if !e.Cache {
		return "", nil
	}
	img := keyOf(sc, e.Image)
	if img == "" {
		ref, err := e.Image.Image(sc)
		if err != nil {
			return "", nil // a promise: the command runs
		}
		img = ref.Digest
	}
	in := struct {
		Version                               int
		Image, Script, Workdir, User, Network string
		Command                               []string
		Env                                   map[string]string
		Around                                []string
	}{2, img, e.Script, e.Workdir, e.User, e.Network, nil, map[string]string{}, nil}
	var err error
	if in.Around, err = e.counts(ctx, e.inputs, sc); err != nil {
		return "", err
	}
	for _, v := range e.Command {
		text, err := v.Text(sc)
		if err != nil {
			return "", nil // a promise: the command runs
		}
		in.Command = append(in.Command, text)
	}
	for name, v := range e.Env {
		text, err := v.Text(sc)
		if err != nil {
			return "", nil // a promise: the command runs
		}
		if v.Secret() {
			text = ""
		}
		in.Env[name] = text
	}
	b, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// command returns what to run, with all that was promised.
func (e *Exec) command(sc pipeline.Scope) (buildkit.Command, error) {
	cmd := buildkit.Command{Dir: e.Workdir, User: e.User, Network: e.Network, Env: map[string]string{}}
	ref, err := e.Image.Image(sc)
	if err != nil {
		return cmd, err
	}
	cmd.Image = image(ref)
	if e.Script != "" {
		cmd.Args = []string{"/bin/sh", "-eu", "-c", e.Script}
	}
	for _, v := range e.Command {
		text, err := v.Text(sc)
		if err != nil {
			return cmd, err
		}
		cmd.Args = append(cmd.Args, text)
	}
	for name, v := range e.Env {
		text, err := v.Text(sc)
		if err != nil {
			return cmd, err
		}
		cmd.Env[name] = text
		if v.Secret() {
			cmd.Secrets = append(cmd.Secrets, name)
		}
	}
	return cmd, nil
}

// With returns e with the tools it needs.
func (e *Exec) With(t Tools) *Exec {
	e.executor, e.memory, e.registry = t.Executor, t.Memory, t.Registry
	e.inputs = t.Inputs
	e.cluster, e.jobs, e.rollout = t.Cluster, t.Jobs, t.Rollout
	return e
}

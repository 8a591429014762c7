package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/facts"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

// maxFile is how much of a pipeline file is read: more than it may have.
const maxFile = 16 << 20

// load reads and checks the pipeline file.
func (a *app) load(tools stages.Tools) (*pipeline.Pipeline, error) {
	name := a.flags.file
	if name == "" {
		name = "slipway.yaml" // a command without the flag
	}
	text, err := readInput(name, "name the pipeline file with -f")
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %s", len(text), text)
	read := included(name)
	p := syntax.Parser{Kinds: a.kinds(tools), Compiler: new(expr.Compiler), Read: func(name string) ([]byte, error) {
		text, err := read(name)
		fmt.Fprintf(sum, "%d %s", len(text), text)
		return text, err
	}}
	pl, err := p.Parse(name, text)
	a.source = fmt.Sprintf("sha256:%x", sum.Sum(nil))
	return pl, err
}

// included returns a function that reads the files which the pipeline file
// includes: those of the repository that it lies in, or below its folder if it
// lies in none. Links that lead out are not followed.
func included(file string) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		file, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		top := repository(filepath.Dir(file))
		if name, err = filepath.Abs(name); err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil || !filepath.IsLocal(rel) {
			return nil, fmt.Errorf("it is outside of %s (want a file of the same repository, or below the pipeline file's folder)", top)
		}
		root, err := os.OpenRoot(top)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		info, err := root.Stat(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, errors.New("no such file")
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, errors.New("it is no regular file")
		}
		f, err := root.Open(rel)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxFile))
	}
}

// repository returns the folder of the git repository that dir lies in, or dir.
func repository(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// readInput reads a file that the user named. Its error is a [pipeline.ErrorList].
func readInput(name, cure string) ([]byte, error) {
	fail := func(code string, err error) ([]byte, error) {
		return nil, pipeline.ErrorList{{Pos: pipeline.Pos{File: name}, Code: code, Err: err}}
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("no-file", fmt.Errorf("no such file (%s)", cure))
	case err != nil:
		return fail("unreadable", err)
	case info.IsDir():
		return fail("unreadable", errors.New("is a folder (name the file in it: "+strings.TrimSuffix(name, "/")+"/slipway.yaml)"))
	case !info.Mode().IsRegular():
		return fail("unreadable", errors.New("is no regular file"))
	}
	f, err := os.Open(name)
	if err != nil {
		return fail("unreadable", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return fail("unreadable", err)
	}
	return text, nil
}

// chosen returns the environment that -e names.
func (a *app) chosen(p *pipeline.Pipeline) (pipeline.Environment, error) {
	names := names(p.Environments)
	env, ok := p.Environment(a.flags.environment)
	switch {
	case ok:
	case a.flags.environment != "":
		return env, usagef("no environment is called %q%s (the file has %s)", a.flags.environment,
			pipeline.Nearest(a.flags.environment, names), orNone(names))
	case len(names) > 0:
		return env, usagef("no environment is chosen (name one with -e: %s)", strings.Join(names, ", "))
	}
	return env, nil
}

// names returns what environments are called.
func names(envs []pipeline.Environment) []string {
	var names []string
	for _, e := range envs {
		names = append(names, e.Name)
	}
	return names
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// outside returns what the user sets vars with.
func (a *app) outside() (pipeline.Outside, error) {
	set := map[string]string{}
	for _, v := range a.flags.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return pipeline.Outside{}, usagef("--var %s (want NAME=VALUE)", v)
		}
		set[name] = value
	}
	files, err := a.varFiles()
	return pipeline.Outside{Flags: set, Files: files, Env: a.env}, err
}

// scope returns what is known before anything is planned.
func (a *app) scope(ctx context.Context, p *pipeline.Pipeline, env pipeline.Environment) (pipeline.Scope, error) {
	out, err := a.outside()
	if err != nil {
		return pipeline.Scope{}, err
	}
	vars, err := p.Resolve(env, out)
	if err != nil {
		return pipeline.Scope{}, err
	}
	a.secrets = p.Secrets(vars)
	if token, _ := a.env("ACTIONS_RUNTIME_TOKEN"); token != "" {
		a.secrets = append(a.secrets, token)
	}
	for _, s := range a.secrets {
		if len(s) < report.Shortest {
			fmt.Fprintf(a.stderr, "warning: a secret has less than %d characters: it is not hidden in logs\n", report.Shortest)
		}
	}
	return pipeline.Scope{Environment: env, Registries: p.Registries, Facts: map[string]any{
		"vars": vars,
		"environment": map[string]any{
			"name": env.Name, "namespace": env.Namespace, "context": env.Context,
			"clusterUID": env.ClusterUID, "protected": env.Protected, "promotes": env.Promotes,
		},
		"git":  facts.Git(ctx, cmp.Or(a.checkout, p.Dir), a.env),
		"ci":   facts.CI(a.env),
		"dirs": facts.Dirs(p.Dir),
	}}, nil
}

// varFiles reads the files of vars. Of several, the last wins.
func (a *app) varFiles() (map[string]pipeline.Given, error) {
	all := map[string]pipeline.Given{}
	for _, name := range a.flags.varFiles {
		text, err := readInput(name, "want a YAML file of vars and their values")
		if err != nil {
			return nil, err
		}
		given, err := syntax.ReadVars(name, text)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, given)
	}
	return all, nil
}

// planned loads the file and plans it for the chosen environment. Choose may
// narrow down which stages; it may be nil.
func (a *app) planned(ctx context.Context, w *world, choose func(*pipeline.Pipeline) ([]pipeline.ID, error)) (*pipeline.Plan, error) {
	p, err := a.load(w.tools)
	if err != nil {
		return nil, err
	}
	env, err := a.chosen(p)
	if err != nil {
		return nil, err
	}
	return a.planFor(ctx, w, p, env, choose)
}

func (a *app) planFor(ctx context.Context, w *world, p *pipeline.Pipeline, env pipeline.Environment, choose func(*pipeline.Pipeline) ([]pipeline.ID, error)) (*pipeline.Plan, error) {
	if w.cluster.Context == "" {
		w.cluster.Context = env.Context
	}
	w.know(p.Registries)
	if env.Protected && (len(a.flags.only)+len(a.flags.skip) > 0 || choose != nil) {
		return nil, usagef("environment %s is protected, so all of its stages run (leave out --only and --skip, and use slipway run)", env.Name)
	}
	if env.Promotes != "" && a.flags.noPush {
		return nil, usagef("environment %s never builds, for it promotes %s (use --no-push with -e %[2]s)", env.Name, env.Promotes)
	}
	if env.Promotes != "" && a.flags.noDeploy {
		return nil, usagef("environment %s never builds, for it promotes %s (leave out --no-deploy)", env.Name, env.Promotes)
	}
	if a.flags.namespace != "" {
		env.Namespace = a.flags.namespace
	}
	sc, err := a.scope(ctx, p, env)
	if err != nil {
		return nil, err
	}
	go fact(sc, "git") // takes a while, and will be asked for when contexts have been read
	planner := engine.Planner{Only: ids(a.flags.only), Skip: ids(a.flags.skip)}
	shelf, err := a.shelf(w, p, sc)
	if err != nil {
		return nil, err
	}
	if err := shelf.start(ctx, a.flags.from, &planner); err != nil {
		return nil, err
	}
	if choose != nil {
		more, err := choose(p)
		if err != nil {
			return nil, err
		}
		planner.Only = append(planner.Only, more...)
	}
	plan, err := planner.Plan(ctx, p, sc)
	if err != nil {
		return nil, err
	}
	plan.Partial = plan.Partial || a.flags.noPush || a.flags.noDeploy
	plan.Release = shelf.ref(plan)
	return plan, stages.CheckPins(plan)
}

func ids(names []string) []pipeline.ID {
	var ids []pipeline.ID
	for _, n := range names {
		ids = append(ids, pipeline.ID(n))
	}
	return ids
}

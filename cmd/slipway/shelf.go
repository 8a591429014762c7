package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/registry"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/stages"
)

// releaseType is the type of the OCI artifact that is a release.
const releaseType = "application/vnd.slipway.release.v1+json"

// A shelf is where releases of a pipeline lie: .slipway/runs beside its file,
// and the repository that release: names.
type shelf struct {
	*app
	images      *registry.Client
	pipeline    string
	dir         string
	environment pipeline.Environment
	commit      string
	dirty       bool
	repository  string // empty means none
}

// shelf finds out where the releases of p lie.
func (a *app) shelf(w *world, p *pipeline.Pipeline, sc pipeline.Scope) (*shelf, error) {
	s := &shelf{app: a, images: w.images, pipeline: p.Name, dir: p.Dir, environment: sc.Environment}
	if s.environment.Promotes != "" || !p.Release.IsZero() || a.flags.from != "" { // asking git costs
		s.commit, s.dirty = commit(sc)
	}
	if p.Release.IsZero() {
		return s, nil
	}
	var err error
	s.repository, err = p.Release.Text(sc)
	if err == nil && !stages.IsRepository(s.repository) {
		err = fmt.Errorf("release: %q is no repository (want one such as ghcr.io/acme/shop/releases, without a tag)", s.repository)
	}
	if err != nil {
		return nil, pipeline.ErrorList{{Pos: p.Release.Pos, Code: "bad-reference", Err: err}}
	}
	return s, nil
}

// ref returns where the release of a green run of plan goes, or "": a partial
// run, or one that no commit stands for, has no release that others could take.
func (s *shelf) ref(plan *pipeline.Plan) string {
	if s.repository == "" || s.commit == "" || s.dirty || plan.Partial {
		return ""
	}
	return s.repository + ":" + pipeline.ReleaseTag(s.commit, plan.Environment)
}

// start lets planner take what a release holds: the one that is asked for, or
// the one that the environment promotes.
func (s *shelf) start(ctx context.Context, asked string, planner *engine.Planner) error {
	env := s.environment
	planner.Promotes = env.Promotes
	if asked != "" {
		rel, where, err := s.awaited(ctx, asked)
		if err == nil {
			err = s.fits(rel, where)
		}
		if err != nil {
			return err
		}
		if rel.Commit != s.commit && rel.Commit != "" {
			fmt.Fprintf(s.stderr, "warning: release %s is of commit %.12s, and this tree is at %.12s\n", rel.ID, rel.Commit, cmp.Or(s.commit, "no commit"))
		}
		planner.From = rel
		return nil
	}
	if env.Promotes == "" {
		return nil
	}
	planner.From, planner.Missing = s.promoted(ctx)
	return nil
}

// fits reports whether rel can be taken here.
func (s *shelf) fits(rel *pipeline.Release, where string) error {
	env := s.environment
	why := ""
	switch {
	case rel.Pipeline != s.pipeline:
		why = fmt.Sprintf("is of the pipeline %s, and this is %s", rel.Pipeline, s.pipeline)
	case env.Promotes == "":
	case rel.Environment != env.Promotes:
		why = fmt.Sprintf("is of %s, and %s promotes %s", cmp.Or(rel.Environment, "no environment"), env.Name, env.Promotes)
	case rel.Status != pipeline.StatusOK:
		why = fmt.Sprintf("was not green: %s", rel.Status)
	case rel.Partial:
		why = "is of a run with --only or --skip"
	case rel.Dirty:
		why = "was made of a tree with changes that no commit holds"
	case rel.Commit != s.commit || s.commit == "":
		why = fmt.Sprintf("is of commit %.12s, and this tree is at %.12s", rel.Commit, cmp.Or(s.commit, "no commit"))
	}
	if why == "" {
		return nil
	}
	return pipeline.Stalef("release %s (%s) %s", rel.ID, where, why)
}

var runID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{6}$`) })

// named returns the release that the user names, and where it lies.
func (s *shelf) named(ctx context.Context, name string) (*pipeline.Release, string, error) {
	if runID().MatchString(name) {
		rel, err := s.recorded(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = pipeline.Stalef("there is no run %s in %s", name, filepath.Join(s.dir, ".slipway", "runs"))
		}
		return rel, name, err
	}
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		text, err := readInput(name, "want a release.json")
		if err != nil {
			return nil, name, err
		}
		rel, err := pipeline.ReadRelease(text)
		if err != nil {
			err = usagef("%s: %w", name, err)
		}
		return rel, name, err
	}
	if !strings.Contains(name, "/") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") || strings.HasSuffix(name, ".json") {
		return nil, name, pipeline.Stalef("--from %s: there is no such file, and it is neither the id of a run nor a reference such as ghcr.io/acme/shop/releases:TAG", name)
	}
	rel, err := s.pulled(ctx, name)
	if errors.Is(err, buildkit.ErrNotFound) {
		err = &pipeline.StaleError{Err: err}
	}
	return rel, name, err
}

// recorded reads the release of a run on this machine.
func (s *shelf) recorded(id string) (*pipeline.Release, error) {
	root, err := os.OpenRoot(s.dir) // links that lead out of it are not followed
	if err != nil {
		return nil, err
	}
	defer root.Close()
	text, err := root.ReadFile(filepath.Join(".slipway", "runs", id, "release.json"))
	if err != nil {
		return nil, err
	}
	return pipeline.ReadRelease(text)
}

// runs returns the releases of runs on this machine, the newest first. A run that
// was killed has none.
func (s *shelf) runs() []*pipeline.Release {
	dirs, err := os.ReadDir(filepath.Join(s.dir, ".slipway", "runs"))
	if err != nil {
		return nil
	}
	var found []*pipeline.Release
	for _, d := range dirs {
		if rel, err := s.recorded(d.Name()); err == nil {
			found = append(found, rel)
		}
	}
	slices.SortStableFunc(found, func(a, b *pipeline.Release) int { return b.Started.Compare(a.Started) })
	return found
}

// pulled reads a release from a registry.
func (s *shelf) pulled(ctx context.Context, ref string) (*pipeline.Release, error) {
	text, err := s.images.Artifact(ctx, ref, releaseType)
	if err != nil {
		return nil, err
	}
	rel, err := pipeline.ReadRelease(text)
	if err != nil {
		return nil, &buildkit.RegistryError{Host: buildkit.Host(ref), Ref: ref, Err: err}
	}
	return rel, nil
}

// promoted returns the release of this commit that was green in the environment
// which is promoted: the one in the repository, or else the newest on this
// machine. The error says what was looked for, and where.
func (s *shelf) promoted(ctx context.Context) (*pipeline.Release, error) {
	from := s.environment.Promotes
	switch {
	case s.commit == "":
		return nil, pipeline.Stalef("%s promotes the release of a commit, and %s is in no git repository", s.environment.Name, s.dir)
	case s.dirty:
		return nil, pipeline.Stalef("%s promotes the release of a commit, and this tree has changes that no commit holds (commit or remove them)", s.environment.Name)
	}
	var looked []string
	if s.repository != "" {
		ref := s.repository + ":" + pipeline.ReleaseTag(s.commit, from)
		rel, err := s.pulled(ctx, ref)
		switch {
		case err == nil:
			if err = s.fits(rel, ref); err != nil {
				return nil, err
			}
			return rel, nil
		case !errors.Is(err, buildkit.ErrNotFound):
			return nil, err
		}
		looked = append(looked, ref)
	}
	runs := filepath.Join(s.dir, ".slipway", "runs")
	last := ""
	for _, rel := range s.runs() {
		if rel.Environment != from {
			continue
		}
		err := s.fits(rel, runs)
		if err == nil {
			return rel, nil
		}
		last = cmp.Or(last, "; the last one there: "+err.Error())
	}
	looked = append(looked, runs)
	cure := "run slipway run -e " + from + " first"
	if s.repository == "" {
		cure += "; for runs on another machine, give the file release: {repository: …}"
	}
	return nil, pipeline.Stalef("there is no release of commit %.12s that was green in %s: looked in %s%s (%s)", s.commit, from, strings.Join(looked, " and in "), last, cure)
}

// publish puts the release of a green run into its repository, unless the one
// that is there says the same.
func (a *app) publish(ctx context.Context, w *world, plan *pipeline.Plan, rel *pipeline.Release) error {
	if plan.Release == "" {
		return nil
	}
	s := &shelf{app: a, images: w.images}
	old, err := s.pulled(ctx, plan.Release)
	if err == nil && !rel.Tells(old) {
		return nil
	}
	img, err := a.pushRelease(ctx, w, plan.Release, rel)
	if err != nil {
		return fmt.Errorf("the run was green, but its release is not pushed: %w", err)
	}
	fmt.Fprintf(a.stderr, "release pushed: %s\n", img.Ref())
	return nil
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
	"github.com/slipway-ci/slipway/deploy/rollout"
	"github.com/slipway-ci/slipway/deploy/runner"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/facts"
	"github.com/slipway-ci/slipway/stages"
)

// A jobCall is what slipway job is asked for.
type jobCall struct {
	spec       runner.Spec
	apply      bool
	source     string
	ref        string // deployed:ENV
	commit     string // which that is
	repository string
}

func (a *app) job() *cobra.Command {
	var j jobCall
	c := &cobra.Command{
		Use:   "job",
		Short: "Run in the cluster: print Jobs, accounts and the roles they need, or submit them",
		Long: `Job prints what it takes to run the pipeline inside of a cluster: a Job that builds,
whose account may do nothing there, and a Job that deploys what that one has built,
with Roles that follow from the manifests and nothing more. With --apply it submits
them, follows them, and exits as the run did; the tree is that of the working folder
unless --source names another. With --schedule they are CronJobs.`,
		Example: `  slipway job -e staging --source https://github.com/acme/shop#main | kubectl apply --server-side -f -
  slipway job -e staging --apply
  slipway job -e staging --source https://github.com/acme/shop#main --schedule "0 4 * * *" --apply`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runJob(c.Context(), &j) },
	}
	f := c.Flags()
	f.BoolVar(&j.apply, "apply", false, "submit what would be printed, follow it, and exit as the run does")
	f.StringVar(&j.source, "source", "", "the tree: `GIT_URL#REF`, or one that --apply has pushed before (default: the working folder, which --apply pushes)")
	f.StringVar(&j.ref, "ref", "", "of the source, or of the working folder's repository, the commit that an environment runs: `deployed:ENVIRONMENT`")
	f.StringVar(&j.spec.Schedule, "schedule", "", "run again and again: `CRON` is as in \"0 4 * * *\"")
	f.StringVar(&j.spec.Image, "image", "", "slipway's own image (default: that of this version)")
	f.StringVar(&j.repository, "repository", "", "where the tree and what was built are handed over (default: that of release: in the file)")
	f.StringVar(&j.spec.PullSecret, "registry-secret", "", "`NAME` of a Secret of type kubernetes.io/dockerconfigjson with credentials of registries")
	f.StringSliceVar(&j.spec.EnvFrom, "env-from", nil, "`NAME` of a Secret whose keys are environment variables of both Jobs: secrets of the pipeline, or what git needs")
	f.StringVar(&j.spec.Namespace, "job-namespace", "", "namespace of the Job that deploys (default: that of the environment)")
	f.StringVar(&j.spec.BuildNamespace, "build-namespace", "", "namespace of the Job that builds, which Pod Security has to let be privileged (default: that of the other)")
	f.StringVar(&j.spec.Cache, "cache", "", "`SIZE` of a claim that keeps the state of builds, such as 20Gi (default: each build begins without)")
	f.DurationVar(&j.spec.Deadline, "deadline", time.Hour, "how long each Job may take")
	f.DurationVar(&j.spec.Keep, "keep", 24*time.Hour, "how long a Job that has ended is kept")
	a.runJobFlags(c)
	return a.planFlags(c)
}

// runJobFlags adds flags that planning for a Job has beside those of plan.
func (a *app) runJobFlags(c *cobra.Command) {
	a.stateFlag(c)
	c.Flags().StringVar(&a.flags.progress, "progress", "auto", "auto, plain or quiet: what is said of the Jobs that --apply follows")
}

func (a *app) runJob(ctx context.Context, j *jobCall) error {
	w := a.world()
	if err := a.settleJob(ctx, w, j); err != nil {
		return err
	}
	if !j.apply {
		text, err := w.tools.Renderer.Encode(j.spec.Objects())
		if err != nil {
			return err
		}
		_, err = a.mask(a.stdout).Write(text)
		return err
	}
	return a.submit(ctx, w, j.spec)
}

// settleJob finds out what has to run, and what it has to be allowed.
func (a *app) settleJob(ctx context.Context, w *world, j *jobCall) error {
	if j.spec.Deadline < time.Second || j.spec.Keep < time.Second {
		return usagef("--deadline and --keep want a second or more")
	}
	a.survey = &stages.Survey{}
	p, err := a.load(w.tools)
	if err != nil {
		return err
	}
	env, err := a.chosen(p)
	if err != nil {
		return err
	}
	w.cluster.Context = cmp.Or(w.cluster.Context, env.Context)
	if err := a.jobPlaces(w, j, env); err != nil {
		return err
	}
	if j.ref != "" {
		if err := a.settleRef(ctx, p, j); err != nil {
			return err
		}
	}
	a.survey.Namespace = j.spec.Namespace
	plan, err := a.planFor(ctx, w, p, env, nil)
	if err != nil {
		return err
	}
	if err := onlyBuiltBefore(plan, a.survey); err != nil {
		return err
	}
	repository, err := a.handoverRepository(j, p, plan.Scope)
	if err != nil {
		return err
	}
	s := &j.spec
	name := pipeline.Slug(p.Name + "-" + env.Name)
	s.Name = strings.TrimRight(name[:min(len(name), runner.MostName)], "-")
	s.ID = a.runID()
	if s.Schedule != "" {
		s.ID = scheduled
	}
	if s.Image, err = slipwayImage(s.Image); err != nil {
		return err
	}
	top, file, err := a.fileInTree()
	if err != nil {
		return err
	}
	common, err := a.jobArgs(p, env, file, j)
	if err != nil {
		return err
	}
	a.parts(plan, env, s, common, repository+":job-"+s.Name+"-"+s.ID)
	if s.Rights, err = a.jobRights(ctx, w, s); err != nil {
		return err
	}
	if j.apply {
		if _, err := (identified{w.cluster}).Check(ctx, env.ClusterUID); err != nil {
			return err
		}
	}
	source := j.source
	if source == "" {
		if source, err = a.pushTree(ctx, w, j, top, repository); err != nil {
			return err
		}
	}
	s.Fetch = []string{"fetch", source, runner.Tree}
	for _, host := range slices.Compact(slices.Sorted(slices.Values(append(p.Registries.PlainHTTP(), a.flags.plainHTTP...)))) {
		s.Fetch = append(s.Fetch, "--plain-http", host)
	}
	return nil
}

// jobPlaces settles the namespaces.
func (a *app) jobPlaces(w *world, j *jobCall, env pipeline.Environment) error {
	s := &j.spec
	s.Namespace = cmp.Or(s.Namespace, a.flags.namespace, env.Namespace)
	if s.Namespace == "" {
		namespace, err := w.cluster.DefaultNamespace()
		switch {
		case errors.Is(err, deploy.ErrNoCluster) && !j.apply:
			namespace = "default"
		case err != nil:
			return err
		}
		s.Namespace = namespace
	}
	s.BuildNamespace = cmp.Or(s.BuildNamespace, s.Namespace)
	if j.source == "" && !j.apply {
		return usagef("which tree? What is printed has to name one that stays (want --source GIT_URL#REF, or --apply, which pushes the working folder)")
	}
	return nil
}

// onlyBuiltBefore reports a stage that needs a builder after one that needs a
// cluster: the pod that deploys cannot build.
func onlyBuiltBefore(plan *pipeline.Plan, survey *stages.Survey) error {
	late := map[pipeline.ID]pipeline.ID{} // what comes after a stage that needs a cluster, and that
	for _, s := range plan.Steps {
		for _, need := range s.After {
			for _, other := range plan.Steps {
				if other.ID != need && other.ID.Stage() != need {
					continue
				}
				if survey.Inside(other) {
					late[s.ID] = other.ID
				} else if late[other.ID] != "" {
					late[s.ID] = late[other.ID]
				}
			}
		}
		if late[s.ID] != "" && s.Skip == "" && builds(s, survey) {
			return usagef("%s needs a builder and comes after %s, which needs the cluster: the Job that deploys cannot build (let it come before)", s.ID, late[s.ID])
		}
	}
	return nil
}

// builds reports whether a step is for the Job that builds.
func builds(s pipeline.Step, survey *stages.Survey) bool {
	return s.Kind == "build" || s.Kind == "exec" && !survey.Inside(s)
}

// handoverRepository returns where the two Jobs meet.
func (a *app) handoverRepository(j *jobCall, p *pipeline.Pipeline, sc pipeline.Scope) (string, error) {
	repository := j.repository
	if repository == "" && !p.Release.IsZero() {
		text, err := p.Release.Text(sc)
		if err != nil {
			return "", err
		}
		repository = text
	}
	if !stages.IsRepository(repository) {
		return "", usagef("in which repository is what was built handed over? (give the file release: {repository: …}, or set --repository to one such as ghcr.io/acme/shop/jobs)")
	}
	return repository, nil
}

// slipwayImage returns the image of slipway that a Job runs.
func slipwayImage(asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	if !releasedVersion(v) {
		return "", usagef("this slipway is no release, so there is no image of its version (name one with --image)")
	}
	return "ghcr.io/slipway-ci/slipway:" + v, nil
}

// releasedVersion reports whether v is one such as v1.2.3.
func releasedVersion(v string) bool {
	return strings.HasPrefix(v, "v") && strings.Count(v, ".") == 2 && !strings.ContainsAny(v, "-+")
}

// fileInTree returns the folder of the tree, and where in it the pipeline file is.
func (a *app) fileInTree() (top, file string, err error) {
	path, err := filepath.Abs(a.flags.file)
	if err != nil {
		return "", "", err
	}
	top = repository(filepath.Dir(path))
	file, err = filepath.Rel(top, path)
	return top, filepath.ToSlash(file), err
}

// jobArgs returns the arguments that both Jobs have: what was asked for here.
func (a *app) jobArgs(p *pipeline.Pipeline, env pipeline.Environment, file string, j *jobCall) ([]string, error) {
	args := []string{"--file", file, "--progress", "plain", "--verdict", runner.Verdict}
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				args = append(args, flag+"="+v)
			}
		}
	}
	add("--environment", env.Name)
	add("--namespace", a.flags.namespace)
	add("--only", a.flags.only...)
	add("--skip", a.flags.skip...)
	add("--approve", a.flags.approve...)
	add("--take-from", a.flags.takeFrom...)
	add("--plain-http", a.flags.plainHTTP...)
	add("--kube-version", a.flags.kubeVersion)
	if a.flags.requestTimeout != 30*time.Second {
		add("--request-timeout", a.flags.requestTimeout.String())
	}
	out, err := a.outside()
	if err != nil {
		return nil, err
	}
	settings, err := p.Settings(env, out)
	if err != nil {
		return nil, err
	}
	for _, s := range settings {
		switch {
		case s.From == "default" || s.From == "not set" || s.From == "environment "+env.Name:
		case s.Var.Type == pipeline.Secret && (s.Var.Env == "" || len(j.spec.EnvFrom) == 0):
			return nil, usagef("var %s is a secret, which no Job may show (give the var env: NAME, and name a Secret with that key by --env-from)", s.Var.Name)
		case s.Var.Type == pipeline.Secret:
		default:
			text, ok := s.Value.(string)
			if !ok {
				b, err := json.Marshal(s.Value)
				if err != nil {
					return nil, err
				}
				text = string(b)
			}
			args = append(args, "--var", s.Var.Name+"="+text)
		}
	}
	return args, nil
}

// parts says what each Job runs. What promotes another environment builds nothing.
func (a *app) parts(plan *pipeline.Plan, env pipeline.Environment, s *runner.Spec, common []string, release string) {
	deploys := slices.ContainsFunc(plan.Steps, func(s pipeline.Step) bool { return s.Skip == "" && a.survey.Inside(s) })
	made := env.Promotes == "" && slices.ContainsFunc(plan.Steps, func(s pipeline.Step) bool {
		return s.Skip == "" && (builds(s, a.survey) || s.Kind == "copy")
	})
	if made || !deploys {
		s.Build = append([]string{"run", "--no-deploy", "--state", runner.State, "--release-to", release}, common...)
		if a.flags.rebuild {
			s.Build = append(s.Build, "--rebuild")
		}
	}
	if deploys {
		s.Deploy = append([]string{"run"}, common...)
	}
	if deploys && made {
		s.Deploy = append(s.Deploy, "--from", release, "--await", s.Deadline.String())
	}
}

// jobRights returns what the Job that deploys has to be allowed.
func (a *app) jobRights(ctx context.Context, w *world, s *runner.Spec) ([]deploy.Right, error) {
	if s.Deploy == nil {
		return nil, nil
	}
	rights := []deploy.Right{kube.IdentityRight()}
	for _, set := range a.survey.Sets {
		more, err := w.cluster.Rights(ctx, set)
		if err != nil {
			return nil, err
		}
		rights = append(append(rights, more...), rollout.Rights(set)...)
	}
	for _, j := range a.survey.Jobs {
		rights = append(rights, kube.JobRights(j.Namespace, j.Secret)...)
		body := map[string]any{"apiVersion": "batch/v1", "kind": "Job", "spec": map[string]any{"template": map[string]any{"spec": map[string]any{}}}}
		rights = append(rights, rollout.Rights(deploy.Set{Namespace: j.Namespace, Objects: []deploy.Object{{Body: body}}})...)
	}
	for _, ask := range a.survey.Asks {
		right, err := kube.AskRight(ask.Namespace, ask.Request)
		if err != nil {
			return nil, err
		}
		rights = append(rights, right)
	}
	return rights, nil
}

// pushTree puts the working folder, or a commit of its repository, into a registry,
// and returns where.
func (a *app) pushTree(ctx context.Context, w *world, j *jobCall, top, repository string) (string, error) {
	if j.commit != "" {
		dir, err := os.MkdirTemp("", "slipway-tree-")
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(dir)
		clone := filepath.Join(dir, "tree")
		if err := facts.Clone(ctx, top, j.commit, clone); err != nil {
			return "", usagef("commit %s is not in %s: %w (fetch it, or name the repository that has it: --source GIT_URL)", short(j.commit), top, err)
		}
		top = clone
	}
	packed, err := a.packTree(ctx, top)
	if err != nil {
		return "", err
	}
	img, err := w.images.PushArtifact(ctx, repository, []string{"tree-" + j.spec.Name}, treeType, packed, nil)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(a.stderr, "tree pushed: %s@%s, %d bytes\n", repository, buildkit.Short(img.Digest), len(packed))
	return repository + "@" + img.Digest, nil
}

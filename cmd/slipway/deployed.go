package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// deployedRef is how --ref begins that means what an environment runs.
const deployedRef = "deployed:"

// settleRef turns --ref into a commit of the source.
func (a *app) settleRef(ctx context.Context, p *pipeline.Pipeline, j *jobCall) error {
	name, ok := strings.CutPrefix(j.ref, deployedRef)
	if !ok {
		return usagef("--ref %s is not deployed:ENVIRONMENT (a branch, tag or commit is part of the source: --source GIT_URL#%[1]s)", j.ref)
	}
	if git, ok := buildkit.ParseGit(j.source); j.source != "" && (!ok || git.Ref != "") {
		return usagef("--ref and --source %s both say which commit (want --source GIT_URL alone)", j.source)
	}
	if j.spec.Schedule != "" {
		return usagef("--ref deployed:%s is settled now, and with --schedule each run would be of that commit (name it: --source GIT_URL#COMMIT)", name)
	}
	i := slices.IndexFunc(p.Environments, func(e pipeline.Environment) bool { return e.Name == name })
	if i < 0 {
		return usagef("--ref %s: the file has no environment %s%s (want one of %s)", j.ref, name, pipeline.Nearest(name, names(p.Environments)), orNone(names(p.Environments)))
	}
	commit, err := a.deployedCommit(ctx, p, p.Environments[i])
	if err != nil {
		return err
	}
	j.commit = commit
	if j.source != "" {
		j.source += "#" + commit
	}
	return nil
}

// deployedCommit returns the commit that runs in an environment: of the newest revision
// that was proven of each deployment there.
func (a *app) deployedCommit(ctx context.Context, p *pipeline.Pipeline, env pipeline.Environment) (string, error) {
	cluster := a.world().cluster
	cluster.Context = cmp.Or(cluster.Context, env.Context)
	if _, err := (identified{cluster}).Check(ctx, env.ClusterUID); err != nil {
		return "", err
	}
	namespace := cmp.Or(env.Namespace, a.flags.namespace)
	if namespace == "" {
		var err error
		if namespace, err = cluster.DefaultNamespace(); err != nil {
			return "", err
		}
	}
	all, err := cluster.Deployments(ctx, namespace)
	if err != nil {
		return "", err
	}
	found, of := "", ""
	for _, d := range all {
		if d.Set.Pipeline != p.Name || d.Set.Environment != env.Name {
			continue
		}
		revisions, err := cluster.Revisions(ctx, d.Set)
		if err != nil {
			return "", err
		}
		commit, err := provenCommit(revisions)
		switch {
		case err != nil:
			return "", usagef("--ref deployed:%s: %s %w", env.Name, d.Set, err)
		case found != "" && found != commit:
			return "", usagef("--ref deployed:%s: %s runs %s, and %s runs %s (name one: --source GIT_URL#COMMIT)", env.Name, of, short(found), d.Set, short(commit))
		}
		found, of = commit, d.Set.String()
	}
	if found == "" {
		return "", usagef("--ref deployed:%s: nothing of pipeline %s is deployed in namespace %s (name a commit: --source GIT_URL#COMMIT)", env.Name, p.Name, namespace)
	}
	return found, nil
}

// provenCommit returns the commit of the newest revision that was proven.
func provenCommit(revisions []deploy.Revision) (string, error) {
	for _, r := range revisions { // the newest first
		if r.State != deploy.StateProven {
			continue
		}
		switch {
		case r.Run.Commit == "":
			return "", fmt.Errorf("was not deployed from a git repository: revision %d records no commit (deploy it once from a clone, or name a commit: --source GIT_URL#COMMIT)", r.Number)
		case r.Run.Dirty:
			return "", fmt.Errorf("runs revision %d, which was made of %s with changes that no commit holds (deploy a clean tree, or name a commit: --source GIT_URL#COMMIT)", r.Number, short(r.Run.Commit))
		}
		return r.Run.Commit, nil
	}
	return "", errors.New("has no revision that was proven (name a commit: --source GIT_URL#COMMIT)")
}

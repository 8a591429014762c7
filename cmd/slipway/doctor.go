package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/host"
	"github.com/slipway-ci/slipway/buildkit/solve"
	"github.com/slipway-ci/slipway/pipeline"
)

// doctorTime is how long the doctor waits for a registry or a cluster.
const doctorTime = 20 * time.Second

func (a *app) doctor() *cobra.Command {
	trial := true
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what of this machine works for builds, what does not, and the cure",
		Long: `Doctor looks at all that a run needs of a machine: what the kernel, AppArmor and
seccomp allow, ids and tools for a plain user, the disk, and, in a pod, what its
namespace admits. It tries a build, asks the registries of the pipeline file who
we are there and whether we may push, and asks the cluster who it is. It changes
nothing. Each line that does not work comes with its cure.

It exits with 12 if nothing can be built here.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := a.diagnose(c.Context(), trial)
			if err != nil {
				return err
			}
			if a.flags.output == "json" {
				err = writeFindings(a.mask(a.stdout), found)
			} else {
				err = printFindings(a.mask(a.stdout), found)
			}
			if err == nil && !host.CanBuild(found) {
				a.concluded = true
				return &toldError{code: exitCannotBuild}
			}
			return err
		},
	}
	c.Flags().BoolVar(&trial, "trial", true, "try a build, in a state folder that is thrown away")
	a.outputFlag(c, "json")
	return a.builderFlags(a.planFlags(c))
}

// diagnose looks at the machine, then at what a run speaks with. What is wrong
// with those is no reason that nothing can be built.
func (a *app) diagnose(ctx context.Context, trial bool) ([]host.Finding, error) {
	w := a.world()
	defer w.Close() //nolint:errcheck // nothing was started
	elsewhere, err := a.remotes()
	if err != nil {
		return nil, err
	}
	if len(elsewhere) > 0 {
		return a.answers(ctx, w, a.askBuilders(ctx, elsewhere))
	}
	m := host.Look(w.state)
	attempt(ctx, &m, w.state, trial)
	if m.Pod != nil && m.Pod.Namespace != "" {
		ctx, cancel := context.WithTimeout(ctx, doctorTime)
		level, err := w.cluster.PodSecurity(ctx, m.Pod.Namespace)
		cancel()
		m.Pod.Level, m.Pod.Why = level, oneLine(err)
	}
	return a.answers(ctx, w, m.Findings())
}

// askBuilders asks each builder that the user named who it is.
func (a *app) askBuilders(ctx context.Context, members []*solve.Member) []host.Finding {
	var found []host.Finding
	for _, m := range members {
		ctx, cancel := context.WithTimeout(ctx, doctorTime)
		f := host.Finding{Name: "builder", State: host.Works}
		platforms, err := m.Platforms(ctx)
		if f.Found = m.Name + " builds for " + strings.Join(platforms, ", "); err != nil {
			f.State, f.Found, f.Cure = host.Fails, m.Name+": "+oneLine(err), "start a buildkitd there, or mend --builder or BUILDKIT_HOST"
		}
		found = append(found, f)
		_ = m.Close()
		cancel()
	}
	return found
}

// answers adds what registries and the cluster say.
func (a *app) answers(ctx context.Context, w *world, found []host.Finding) ([]host.Finding, error) {
	registries, err := a.registries(ctx, w)
	if err != nil {
		return nil, err
	}
	return append(append(found, registries...), a.whichCluster(ctx, w)), nil
}

// registries says for each repository that the pipeline file pushes to who we
// are there. Without a pipeline file there are none.
func (a *app) registries(ctx context.Context, w *world) ([]host.Finding, error) {
	if _, err := os.Stat(a.flags.file); err != nil && a.flags.file == "slipway.yaml" {
		return nil, nil
	}
	p, err := a.load(w.tools)
	if err != nil {
		return nil, err
	}
	environments := p.Environments
	if a.flags.environment != "" || len(environments) == 0 {
		env, err := a.chosen(p)
		if err != nil {
			return nil, err
		}
		environments = []pipeline.Environment{env}
	}
	images := func(p *pipeline.Pipeline) (ids []pipeline.ID, err error) {
		for _, st := range p.Stages {
			if st.Kind == "build" || st.Kind == "copy" {
				ids = append(ids, st.ID)
			}
		}
		return ids, nil
	}
	var found []host.Finding
	var seen []string
	if ids, _ := images(p); len(ids) == 0 {
		return nil, nil
	}
	for _, env := range environments {
		env.Protected = false // nothing will run
		plan, err := a.planFor(ctx, w, p, env, images)
		if err != nil {
			return append(found, host.Finding{Name: "pipeline file", State: host.Unknown, Found: oneLine(err), Cure: "slipway plan says more"}), nil
		}
		for _, step := range plan.Steps {
			repository, err := step.Outputs["repository"].Text(pipeline.Scope{})
			if err != nil || repository == "" || slices.Contains(seen, repository) {
				continue
			}
			seen = append(seen, repository)
			found = append(found, a.account(ctx, w, repository))
		}
	}
	return found, nil
}

func (a *app) account(ctx context.Context, w *world, repository string) host.Finding {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	f := host.Finding{Name: "registry", State: host.Works}
	who, err := w.images.Account(ctx, repository)
	name := "nobody"
	if who.User != "" {
		name = who.User
	}
	switch {
	case err != nil:
		f.State, f.Found = host.Limits, oneLine(err)
	case who.Push != nil:
		f.State, f.Found = host.Limits, fmt.Sprintf("%s: as %s we may not push: %s", repository, name, oneLine(who.Push))
	default:
		f.Found = fmt.Sprintf("%s: as %s we may push", repository, name)
		return f
	}
	f.Cure = "docker login " + buildkit.Host(repository)
	if !errors.As(err, new(*buildkit.RegistryError)) && who.Push == nil || strings.Contains(f.Found, "connection refused") {
		f.Cure = "start it, or mend its address in the pipeline file"
	}
	return f
}

// whichCluster says which cluster a deploy would go to.
func (a *app) whichCluster(ctx context.Context, w *world) host.Finding {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	uid, err := w.cluster.Identity(ctx)
	server, serverErr := w.cluster.Server(ctx)
	switch {
	case serverErr != nil:
		return host.Finding{Name: "cluster", State: host.Limits, Found: oneLine(serverErr), Cure: "set KUBECONFIG or --kubeconfig, if something is to be deployed from here"}
	case err != nil:
		return host.Finding{Name: "cluster", State: host.Limits, Found: oneLine(err), Cure: "kubectl get namespace kube-system says more"}
	}
	return host.Finding{Name: "cluster", State: host.Works, Found: fmt.Sprintf("%s answers, its UID is %s", server, uid)}
}

// oneLine returns an error's text in one line, empty for nil.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

func writeFindings(w io.Writer, found []host.Finding) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		CanBuild bool           `json:"canBuild"`
		Findings []host.Finding `json:"findings"`
	}{host.CanBuild(found), found})
}

// printFindings writes one line for each, and its cure below.
func printFindings(w io.Writer, found []host.Finding) error {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%-8s %-16s %s\n", f.State, f.Name, f.Found)
		if f.Cure != "" && f.State != host.Works {
			fmt.Fprintf(&b, "%-8s %-16s cure: %s\n", "", "", f.Cure)
		}
	}
	if host.CanBuild(found) {
		b.WriteString("\nimages can be built here\n")
	} else {
		b.WriteString("\nimages cannot be built here: see what fails\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

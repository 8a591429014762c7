package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

// A revision is one line of a history: a deploy.Revision without its objects,
// which may hold secrets.
type revision struct {
	Number   int              `json:"revision"`
	State    deploy.State     `json:"state"`
	Restores int              `json:"restores,omitempty"`
	Commit   string           `json:"commit,omitempty"`
	Dirty    bool             `json:"dirty,omitempty"`
	Run      string           `json:"run,omitempty"`
	URL      string           `json:"url,omitempty"`
	By       string           `json:"by"`
	Began    time.Time        `json:"began"`
	Ended    time.Time        `json:"ended,omitzero"`
	Cause    string           `json:"cause,omitempty"`
	Images   []string         `json:"images,omitempty"` // what was pinned
	Objects  []string         `json:"objects,omitempty"`
	Verdicts []deploy.Verdict `json:"verdicts,omitempty"`
}

func newRevision(r deploy.Revision) revision {
	v := revision{
		Number: r.Number, State: r.State, Restores: r.Restores, Commit: r.Run.Commit, Dirty: r.Run.Dirty, Run: r.Run.ID, URL: r.Run.URL,
		By: r.Run.By, Began: r.Began, Ended: r.Ended, Cause: r.Cause, Verdicts: r.Verdicts,
	}
	seen := map[string]bool{}
	for _, p := range r.Set.Pins {
		if !seen[p.Ref] {
			v.Images = append(v.Images, p.Ref)
		}
		seen[p.Ref] = true
	}
	for _, o := range r.Set.Objects {
		v.Objects = append(v.Objects, o.String())
	}
	return v
}

// note says in a few words what is special about r.
func (r revision) note() string {
	var notes []string
	if r.Restores > 0 {
		notes = append(notes, fmt.Sprintf("rollback to %d", r.Restores))
	}
	if r.Cause != "" {
		notes = append(notes, r.Cause)
	}
	return strings.Join(notes, ": ")
}

func (r revision) commit() string {
	if r.Dirty {
		return short(r.Commit) + "+"
	}
	return short(r.Commit)
}

func (a *app) history() *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "List what a deployment consisted of, and what became of it",
		Long: `History lists the revisions that the cluster remembers of a deployment, the
newest first: the last ten, and the last that was proven.`,
		Example: `  slipway history shop/rollout -n shop`,
	}
	return a.onDeployment(c, func(ctx context.Context, w *world, d kube.Deployment) error {
		found, err := w.cluster.Revisions(ctx, d.Set)
		if err != nil {
			return err
		}
		revisions := []revision{}
		for _, r := range found {
			revisions = append(revisions, newRevision(r))
		}
		return a.answer(revisions, func() string { return historyTable(revisions) })
	})
}

func historyTable(revisions []revision) string {
	if len(revisions) == 0 {
		return "no revision is remembered\n"
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REVISION\tSTATE\tWHEN\tCOMMIT\tBY\tRUN\tNOTE")
	for _, r := range revisions {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.State, ago(r.Began), r.commit(), r.By, r.Run, r.note())
	}
	_ = t.Flush() // into memory
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

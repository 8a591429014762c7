package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// A podOrigin says where a pod comes from.
type podOrigin struct {
	Pod        string    `json:"pod"`
	Namespace  string    `json:"namespace"`
	Owners     []string  `json:"owners,omitempty"`     // what controls it, the nearest first
	Deployment string    `json:"deployment,omitempty"` // empty: slipway did not ship it
	Images     []string  `json:"images"`
	Revision   *revision `json:"revision,omitempty"` // the newest with these images; nil: none that is remembered has them
	Newest     bool      `json:"newest"`             // and it is the newest there is
}

// explainPod says which deployment, revision, commit and run a pod comes from.
func (a *app) explainPod(ctx context.Context, name string) error {
	w := a.world()
	namespace, err := w.cluster.DefaultNamespace()
	if err != nil {
		return err
	}
	chain, err := w.cluster.Owners(ctx, namespace, name)
	if err != nil {
		return err
	}
	origin := podOrigin{Pod: name, Namespace: namespace}
	for _, c := range deploy.Containers(chain[0]) {
		origin.Images = append(origin.Images, c.Name()+"="+c.Image())
	}
	for _, o := range chain[1:] {
		origin.Owners = append(origin.Owners, o.String())
	}
	top := chain[len(chain)-1]
	d, err := w.cluster.DeploymentOf(ctx, top)
	if err != nil {
		return err
	}
	if d == nil {
		return a.answer(origin, origin.text)
	}
	origin.Deployment = d.Set.String()
	revisions, err := w.cluster.Revisions(ctx, d.Set)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(revisions, func(r deploy.Revision) bool { return madeFrom(chain[0], top, r.Set) })
	if i >= 0 {
		found := newRevision(revisions[i])
		found.Verdicts, found.Objects = nil, nil
		origin.Revision, origin.Newest = &found, i == 0
	}
	return a.answer(origin, origin.text)
}

// madeFrom reports whether the containers of a pod run the images that set has
// for its workload.
func madeFrom(pod, workload deploy.Object, set deploy.Set) bool {
	i := slices.IndexFunc(set.Objects, func(o deploy.Object) bool {
		return o.Kind() == workload.Kind() && o.Name() == workload.Name() && (o.Namespace() == "" || o.Namespace() == workload.Namespace())
	})
	if i < 0 {
		return false
	}
	runs := map[string]string{}
	for _, c := range deploy.Containers(pod) {
		runs[c.Name()] = c.Image()
	}
	for _, c := range deploy.Containers(set.Objects[i]) {
		if runs[c.Name()] != c.Image() {
			return false
		}
	}
	return true
}

// text says o to a person.
func (o podOrigin) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pod %s/%s\n", o.Namespace, o.Pod)
	for _, image := range o.Images {
		fmt.Fprintf(&b, "  runs      %s\n", image)
	}
	if len(o.Owners) > 0 {
		fmt.Fprintf(&b, "  of        %s\n", strings.Join(o.Owners, ", "))
	}
	if o.Deployment == "" {
		b.WriteString("  slipway did not ship it\n")
		return b.String()
	}
	fmt.Fprintf(&b, "  ships     %s\n", o.Deployment)
	r := o.Revision
	if r == nil {
		b.WriteString("  revision  none that is remembered has these images\n")
		return b.String()
	}
	fmt.Fprintf(&b, "  revision  %d, %s%s\n", r.Number, r.State, map[bool]string{false: ", which is not the newest"}[o.Newest])
	if r.Commit != "" {
		fmt.Fprintf(&b, "  commit    %s%s\n", r.Commit, map[bool]string{true: ", with changes that it does not hold"}[r.Dirty])
	}
	fmt.Fprintf(&b, "  run       %s, %s, by %s\n", strings.TrimSpace(r.Run+" "+r.URL), ago(r.Began), r.By)
	return b.String()
}

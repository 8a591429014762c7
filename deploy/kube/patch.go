package kube

import (
	"context"
	"slices"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/apply"

	"github.com/slipway-ci/slipway/deploy"
)

// Forms of an answer (https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources).
const (
	asJSON = "application/json"
	unread = "application/vnd.kubernetes.protobuf, application/json" // what costs the server least: JSON where a kind has nothing else
)

// patch applies an item server-side, or tries to, and returns the answer in a form, as it
// came. Fields of other managers are taken only from those that [Cluster.TakeFrom] names,
// or where the set forces it.
func (c *Cluster) patch(ctx context.Context, it *item, form string, dryRun ...string) ([]byte, error) {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	request, err := c.application(it, form, false, dryRun)
	if err != nil {
		return nil, err
	}
	answer := request.Do(ctx)
	if conflict := conflictOf(answer.Error()); conflict != nil && (it.forced && len(dryRun) > 0 || c.mayTake(it, conflict)) {
		if request, err = c.application(it, form, true, dryRun); err != nil {
			return nil, err
		}
		answer = request.Do(ctx)
	}
	if err := answer.Error(); err != nil { // in the server's words, which Raw would not give
		return nil, err
	}
	return answer.Raw()
}

// application returns the request that applies an item.
func (c *Cluster) application(it *item, form string, force bool, dryRun []string) (*rest.Request, error) {
	request, err := apply.NewRequest(c.conn.raw, it.object.Body)
	if err != nil {
		return nil, err
	}
	at := it.kind.resource
	request.AbsPath(groupPath(at.Group), at.Version).
		NamespaceIfScoped(it.object.Namespace(), it.object.Namespace() != "").Resource(at.Resource).Name(it.object.Name()).
		SetHeader("Accept", form).Param("fieldManager", Manager).Param("force", strconv.FormatBool(force))
	for _, what := range dryRun {
		request.Param("dryRun", what)
	}
	return request, nil
}

// mayTake reports whether the user lets us have all fields of a conflict.
func (c *Cluster) mayTake(it *item, conflict *deploy.ConflictError) bool {
	from := c.TakeFrom
	if tool := it.managed(); tool != nil && it.set.Adopt {
		from = append(slices.Clone(from), tool.Managers...)
	}
	return !slices.ContainsFunc(conflict.Fields, func(f deploy.OwnedField) bool {
		return !slices.Contains(from, f.Manager) && (it.set == nil || !it.set.Forces(f.Field))
	})
}

package kube

import (
	"context"
	"errors"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// ownerOf returns the id of the ApplySet that an object is a member of.
func ownerOf(body map[string]any) string {
	id, _ := deploy.Object{Body: body}.Field("metadata", "labels", labelPartOf).(string)
	return id
}

// deploymentOf returns the name of the deployment that an object says it belongs to.
func deploymentOf(live map[string]any) string {
	label := func(name string) string {
		value, _ := deploy.Object{Body: live}.Field("metadata", "labels", name).(string)
		return value
	}
	set := deploy.Set{Pipeline: label(LabelPipeline), Name: label(LabelDeployment)}
	if set.Name == "" {
		return "of another tool, whose ApplySet is " + ownerOf(live)
	}
	if environment := label(LabelEnvironment); environment != "" {
		return set.String() + " of environment " + environment
	}
	return set.String()
}

// weApplied reports whether an object is there because we applied it, and not
// because a controller copied the labels of one that we did.
func weApplied(live map[string]any) bool {
	o := deploy.Object{Body: live}
	owners, _ := o.Field("metadata", "ownerReferences").([]any)
	for _, owner := range owners {
		if owner, _ := owner.(map[string]any); owner["controller"] == true {
			return false
		}
	}
	entries, _ := o.Field("metadata", "managedFields").([]any)
	return slices.ContainsFunc(entries, func(e any) bool {
		entry, _ := e.(map[string]any)
		return entry["manager"] == Manager && entry["operation"] == "Apply"
	})
}

// placesOf returns where members of a deployment may be, by its inventory. A
// kind that the server has no longer has no objects either.
func (c *Cluster) placesOf(ctx context.Context, set deploy.Set, inventory map[string]any) ([]place, error) {
	o := deploy.Object{Body: inventory}
	list := func(annotation string) []string {
		text, _ := o.Field("metadata", "annotations", annotation).(string)
		return slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
	}
	spaces := append([]string{set.Namespace}, list(annotationNamespaces)...)
	kinds := list(annotationKinds)
	found := make([][]place, len(kinds))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.parallel())
	for n, name := range kinds {
		group.Go(func() error {
			served, err := c.conn.kinds.preferred(groupCtx, schema.ParseGroupKind(name))
			var unknown *unknownKindError
			if errors.As(err, &unknown) {
				return nil
			}
			if err != nil {
				return c.failed(groupCtx, "look up "+name, err)
			}
			if !served.namespaced {
				found[n] = []place{{served.resource, ""}}
				return nil
			}
			for _, namespace := range spaces {
				found[n] = append(found[n], place{served.resource, namespace})
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(found...), err
}

// deletes returns what is to happen to members that are no longer in the set.
// Generated ones stay while something may still need them, and they alone are
// no reason to change anything.
func (c *Cluster) deletes(ctx context.Context, set deploy.Set, others []map[string]any, more bool) ([]pending, error) {
	others = slices.DeleteFunc(others, func(live map[string]any) bool { return deleting(live) || set.Leaves(deploy.Object{Body: live}) })
	more = more || slices.ContainsFunc(others, func(live map[string]any) bool { return !deploy.Generated(deploy.Object{Body: live}) })
	if !more {
		return nil, nil
	}
	users := c.users()
	var found []pending
	for _, live := range others {
		o := deploy.Object{Body: live}
		if deploy.Generated(o) {
			used, err := users.of(ctx, o)
			if err != nil {
				return nil, err
			}
			if used != "" {
				continue
			}
		}
		body := quiet(live)
		if o.Kind() == "Secret" {
			body = without(without(body, []string{"data"}), []string{"stringData"})
		}
		gone := deploy.Object{Body: body}
		found = append(found, pending{&item{object: gone, member: true, live: live}, deploy.Change{Object: gone, Op: deploy.Delete}})
	}
	slices.SortFunc(found, func(a, b pending) int { return deploy.Compare(b.object, a.object) })
	return found, nil
}

// users knows what may need a ConfigMap or Secret, by namespace. It reads each
// namespace once, when it is first asked about it.
type users struct {
	cluster *Cluster
	read    map[string][]map[string]any
}

func (c *Cluster) users() *users { return &users{cluster: c, read: map[string][]map[string]any{}} }

// templates are the kinds that hold what pods are made of. A Deployment is not
// among them: what it asks for now, a ReplicaSet holds as well.
func templates() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Group: "apps", Version: "v1", Resource: "replicasets"},
		{Group: "apps", Version: "v1", Resource: "controllerrevisions"},
		{Group: "batch", Version: "v1", Resource: "jobs"},
		{Version: "v1", Resource: "pods"},
	}
}

// of returns what may still need o, or "".
func (u *users) of(ctx context.Context, o deploy.Object) (string, error) {
	holders, known := u.read[o.Namespace()]
	if !known {
		for _, resource := range templates() {
			err := u.cluster.readAll(ctx, place{resource, o.Namespace()}, "", func(live map[string]any) { holders = append(holders, live) })
			if err != nil {
				return "", err
			}
		}
		u.read[o.Namespace()] = holders
	}
	for _, h := range holders {
		if deploy.Names(h["spec"], o.Name()) || deploy.Names(h["data"], o.Name()) {
			return deploy.Object{Body: h}.String(), nil
		}
	}
	return "", nil
}

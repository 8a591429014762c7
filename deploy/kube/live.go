package kube

import (
	"context"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// pageSize is how many objects one answer of a LIST may hold.
const pageSize = 500

// place is where objects of one kind live.
type place struct {
	resource  schema.GroupVersionResource
	namespace string
}

// read fills in what is live of each item: one LIST for each kind and
// namespace, or a GET where only one object is wanted. In held, the places where
// the deployment may have members, only those are listed, and what is not among
// them is asked for by itself. It returns the members that are no items.
func (c *Cluster) read(ctx context.Context, set deploy.Set, items []*item, held []place) ([]map[string]any, error) {
	places := map[place][]*item{}
	for _, at := range held {
		places[at] = nil
	}
	for _, it := range items {
		if !it.fresh {
			at := place{it.kind.resource, it.object.Namespace()}
			places[at] = append(places[at], it)
		}
	}
	var mu sync.Mutex
	var others []map[string]any
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.parallel())
	for at, wanted := range places {
		group.Go(func() error {
			if slices.Contains(held, at) {
				found, err := c.readMembers(groupCtx, set, at, wanted)
				if err != nil {
					return err
				}
				mu.Lock()
				others = append(others, found...)
				mu.Unlock()
				wanted = slices.DeleteFunc(slices.Clone(wanted), func(it *item) bool { return it.live != nil })
			}
			switch len(wanted) {
			case 0:
				return nil
			case 1:
				return c.readOne(groupCtx, at, wanted[0])
			}
			named := namedItems(wanted)
			return c.readAll(groupCtx, at, "", func(live map[string]any) {
				if it := named[deploy.Object{Body: live}.Name()]; it != nil {
					it.live = live
				}
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	known, uids := map[address]bool{}, map[any]bool{} // whatever version, or group, it was listed in
	for _, it := range items {
		known[addressOf(it.object)] = true
		if it.live != nil {
			uids[(deploy.Object{Body: it.live}).Field("metadata", "uid")] = true
		}
	}
	return slices.DeleteFunc(others, func(live map[string]any) bool {
		o := deploy.Object{Body: live}
		return known[addressOf(o)] || uids[o.Field("metadata", "uid")]
	}), nil
}

// readMembers fills in those of wanted that are members of the deployment, and
// returns its other members in that place.
func (c *Cluster) readMembers(ctx context.Context, set deploy.Set, at place, wanted []*item) (others []map[string]any, err error) {
	named := namedItems(wanted)
	err = c.readAll(ctx, at, labelPartOf+"="+applySetID(set), func(live map[string]any) {
		if it := named[deploy.Object{Body: live}.Name()]; it != nil {
			it.live = live
		} else if weApplied(live) {
			others = append(others, live)
		}
	})
	return others, err
}

// namedItems returns the items of one place by their names.
func namedItems(items []*item) map[string]*item {
	named := make(map[string]*item, len(items))
	for _, it := range items {
		named[it.object.Name()] = it
	}
	return named
}

func (c *Cluster) readOne(ctx context.Context, at place, wanted *item) error {
	limited, cancel := c.limit(ctx)
	defer cancel()
	found, err := c.at(at).Get(limited, wanted.object.Name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return c.failed(ctx, "read "+wanted.object.String(), err)
	}
	wanted.live = found.Object
	return nil
}

// readAll lists a place, as far as a label selector goes, and hands each object to take.
func (c *Cluster) readAll(ctx context.Context, at place, selector string, take func(live map[string]any)) error {
	options := metav1.ListOptions{Limit: pageSize, LabelSelector: selector}
	for {
		limited, cancel := c.limit(ctx)
		page, err := c.at(at).List(limited, options)
		cancel()
		if err != nil {
			return c.failed(ctx, "list "+at.String(), err)
		}
		for n := range page.Items {
			take(page.Items[n].Object)
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// at returns the client for a place. The connection has been made.
func (c *Cluster) at(p place) dynamic.ResourceInterface {
	if p.namespace == "" {
		return c.conn.dynamic.Resource(p.resource)
	}
	return c.conn.dynamic.Resource(p.resource).Namespace(p.namespace)
}

func (c *Cluster) of(it *item) dynamic.ResourceInterface {
	return c.at(place{it.kind.resource, it.object.Namespace()})
}

func (p place) String() string {
	if p.namespace == "" {
		return p.resource.GroupResource().String()
	}
	return p.resource.GroupResource().String() + " in " + p.namespace
}

// deleting reports whether an object is on its way out.
func deleting(live map[string]any) bool {
	at, _ := deploy.Object{Body: live}.Field("metadata", "deletionTimestamp").(string)
	return at != ""
}

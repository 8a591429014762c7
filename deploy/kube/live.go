package kube

import (
	"context"

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
// namespace, or a GET where only one object is wanted.
func (c *Cluster) read(ctx context.Context, items []*item) error {
	places := map[place][]*item{}
	for _, it := range items {
		if !it.fresh {
			at := place{it.kind.resource, it.object.Namespace()}
			places[at] = append(places[at], it)
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.parallel())
	for at, wanted := range places {
		group.Go(func() error {
			if len(wanted) == 1 {
				return c.readOne(groupCtx, at, wanted[0])
			}
			return c.readAll(groupCtx, at, wanted)
		})
	}
	return group.Wait()
}

func (c *Cluster) readOne(ctx context.Context, at place, wanted *item) error {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
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

func (c *Cluster) readAll(ctx context.Context, at place, wanted []*item) error {
	byName := map[string]*item{}
	for _, it := range wanted {
		byName[it.object.Name()] = it
	}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		limited, cancel := context.WithTimeout(ctx, requestTimeout)
		page, err := c.at(at).List(limited, options)
		cancel()
		if err != nil {
			return c.failed(ctx, "list "+at.String(), err)
		}
		for n := range page.Items {
			if it := byName[page.Items[n].GetName()]; it != nil {
				it.live = page.Items[n].Object
			}
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

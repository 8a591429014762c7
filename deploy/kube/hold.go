package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
)

// annotationHold is a deploy.Hold, as JSON, on the inventory. It has a field
// manager of its own, so that applying the inventory leaves it alone.
const (
	annotationHold = "slipway.dev/hold"
	holdManager    = "slipway-hold"
)

func configMaps() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
}

// now is what Leases and holds are compared with.
func now() time.Time { return time.Now().UTC() }

// holdOf returns the hold that stands on an inventory, also one that is over.
func holdOf(inventory map[string]any) *deploy.Hold {
	text, _ := deploy.Object{Body: inventory}.Field("metadata", "annotations", annotationHold).(string)
	var h deploy.Hold
	if text == "" || json.Unmarshal([]byte(text), &h) != nil {
		return nil
	}
	return &h
}

// Held returns a *[deploy.HeldError] while a deployment is to stay as it is.
func (c *Cluster) Held(ctx context.Context, set deploy.Set) error {
	if _, err := c.connected(ctx); err != nil {
		return err
	}
	inventory := inventoryOf(set, nil)
	if err := c.readOne(ctx, place{configMaps(), set.Namespace}, inventory); err != nil {
		return err
	}
	if h := holdOf(inventory.live); h != nil && !h.Over(now()) {
		return &deploy.HeldError{Deployment: set.String(), Hold: *h}
	}
	return nil
}

// Hold keeps a deployment as it is until a time; nil ends that.
func (c *Cluster) Hold(ctx context.Context, set deploy.Set, hold *deploy.Hold) error {
	if _, err := c.connected(ctx); err != nil {
		return err
	}
	var value any // null removes the annotation
	if hold != nil {
		text, err := json.Marshal(hold)
		if err != nil {
			return err
		}
		value = string(text)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotationHold: value}}})
	if err != nil {
		return err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	_, err = c.conn.dynamic.Resource(configMaps()).Namespace(set.Namespace).
		Patch(limited, parentName(set), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: holdManager})
	if apierrors.IsNotFound(err) {
		return &deploy.ClusterError{Server: c.conn.server, Doing: "hold " + set.String(), Err: fmt.Errorf("there is no such deployment in namespace %s", set.Namespace)}
	}
	return c.failed(ctx, "hold "+set.String(), err)
}

// A Deployment is one that the cluster knows, with what was written about it.
type Deployment struct {
	Set  deploy.Set // without objects
	Hold *deploy.Hold
}

// Deployments returns those in a namespace, or in all where it is empty, in
// order of their namespace and name.
func (c *Cluster) Deployments(ctx context.Context, namespace string) ([]Deployment, error) {
	if _, err := c.connected(ctx); err != nil {
		return nil, err
	}
	var found []Deployment
	err := c.readAll(ctx, place{configMaps(), namespace}, labelApplySetID, func(live map[string]any) {
		o := deploy.Object{Body: live}
		if o.Field("metadata", "annotations", annotationTooling) != tooling {
			return
		}
		label := func(name string) string { v, _ := o.Field("metadata", "labels", name).(string); return v }
		set := deploy.Set{Pipeline: label(LabelPipeline), Name: label(LabelDeployment), Environment: label(LabelEnvironment), Namespace: o.Namespace()}
		if text, ok := o.Field("metadata", "annotations", annotationName).(string); ok { // a label cannot hold every name
			var full [3]string
			if json.Unmarshal([]byte(text), &full) == nil {
				set.Pipeline, set.Name, set.Environment = full[0], full[1], full[2]
			}
		}
		found = append(found, Deployment{Set: set, Hold: holdOf(live)})
	})
	return found, err
}

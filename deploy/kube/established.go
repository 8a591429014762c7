package kube

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// establishTimeout is how long a definition may take until its kind is served.
const establishTimeout = time.Minute

// established waits until the server serves what a CustomResourceDefinition
// defines, by a watch.
func (c *Cluster) established(ctx context.Context, p pending, say func(pending, string)) error {
	limited, cancel := context.WithTimeout(ctx, establishTimeout)
	defer cancel()
	last := "it has no condition yet"
	for {
		done, err := c.watchDefinition(limited, p, &last)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case limited.Err() != nil:
			return &deploy.ObjectError{Object: p.object, Err: fmt.Errorf("is not established after %s: %s", establishTimeout, last)}
		case err != nil:
			return c.failed(ctx, "watch "+p.object.String(), err)
		case done:
			say(p, "established")
			return nil
		}
		if err := pause(limited, time.Second); err != nil { // the server closed the watch: begin again
			continue
		}
	}
}

// watchDefinition reports whether the definition became established before its watch ended.
func (c *Cluster) watchDefinition(ctx context.Context, p pending, last *string) (bool, error) {
	client := c.of(p.item)
	watcher, err := client.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + p.object.Name()})
	if err != nil {
		return false, err
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		o, ok := event.Object.(*unstructured.Unstructured)
		if !ok || o.GetKind() != p.object.Kind() {
			return false, nil
		}
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, condition := range conditions {
			condition, _ := condition.(map[string]any)
			switch {
			case condition["type"] == "Established" && condition["status"] == "True":
				return true, nil
			case condition["type"] == "NamesAccepted" && condition["status"] == "False":
				*last = fmt.Sprint(condition["message"])
			}
		}
	}
	return false, nil
}

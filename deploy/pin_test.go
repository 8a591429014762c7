package deploy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// workload returns an object whose pod spec stands at path.
func workload(apiVersion, kind, path string, containers ...string) deploy.Object {
	var list []any
	for n, image := range containers {
		list = append(list, map[string]any{"name": fmt.Sprintf("c%d", n), "image": image})
	}
	spec := map[string]any{"containers": list}
	if len(list) > 1 {
		spec["initContainers"], spec["containers"] = list[:1], list[1:]
	}
	o := object(apiVersion, kind, "shop", "web")
	at := o.Body
	steps := strings.Split(path, ".")
	for _, step := range steps[:len(steps)-1] {
		below := map[string]any{}
		at[step], at = below, below
	}
	at[steps[len(steps)-1]] = spec
	return o
}

func digest(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

func TestPinImages(t *testing.T) {
	image := deploy.Image{Name: "localhost:5000/web", Ref: "localhost:5000/web:v1@" + digest("a"), Digest: digest("a")}
	for _, kind := range []struct{ apiVersion, kind, path string }{
		{"v1", "Pod", "spec"},
		{"apps/v1", "Deployment", "spec.template.spec"},
		{"apps/v1", "StatefulSet", "spec.template.spec"},
		{"apps/v1", "DaemonSet", "spec.template.spec"},
		{"apps/v1", "ReplicaSet", "spec.template.spec"},
		{"batch/v1", "Job", "spec.template.spec"},
		{"batch/v1", "CronJob", "spec.jobTemplate.spec.template.spec"},
	} {
		before := workload(kind.apiVersion, kind.kind, kind.path, "localhost:5000/web:old", "other/web:1", "localhost:5000/web@"+digest("b"))
		objs := []deploy.Object{before, object("v1", "ConfigMap", "shop", "conf")}
		pins, err := deploy.PinImages(objs, []deploy.Image{image})
		if err != nil {
			t.Fatal(err)
		}
		want := []deploy.Pin{
			{Object: kind.kind + " shop/web", Container: "c0", Init: true, Ref: image.Ref, Digest: image.Digest},
			{Object: kind.kind + " shop/web", Container: "c2", Ref: image.Ref, Digest: image.Digest},
		}
		if !slices.Equal(pins, want) {
			t.Errorf("%s: got %v, want %v", kind.kind, pins, want)
		}
		var images []string
		for _, c := range deploy.Containers(objs[0]) {
			images = append(images, c.Image())
		}
		if !slices.Equal(images, []string{image.Ref, "other/web:1", image.Ref}) {
			t.Errorf("%s: got %q", kind.kind, images)
		}
		if deploy.Containers(before)[0].Image() != "localhost:5000/web:old" {
			t.Errorf("%s: the original body was changed", kind.kind)
		}
	}
}

func TestPinImagesLooksOnlyIntoBuiltInKinds(t *testing.T) {
	objs := []deploy.Object{workload("example.com/v1", "Deployment", "spec.template.spec", "web:1")}
	_, err := deploy.PinImages(objs, []deploy.Image{{Name: "web", Ref: "web@" + digest("a"), Digest: digest("a")}})
	if err == nil || err.Error() != "no container uses image web (there are no containers)" {
		t.Errorf("got %v", err)
	}
}

func TestUnusedImageIsAnError(t *testing.T) {
	objs := []deploy.Object{workload("apps/v1", "Deployment", "spec.template.spec", "b/two:1", "a/one@"+digest("a"), "b/two:2")}
	_, err := deploy.PinImages(objs, []deploy.Image{{Name: "a/one", Ref: "a/one@" + digest("c")}, {Name: "a/tow", Ref: "a/tow@" + digest("c")}})
	var unused *deploy.UnusedImageError
	if !errors.As(err, &unused) || unused.Image.Name != "a/tow" || err.Error() != "no container uses image a/tow (containers use a/one, b/two)" {
		t.Errorf("got %v", err)
	}
}

func TestRepository(t *testing.T) {
	for ref, want := range map[string]string{
		"web":                            "web",
		"web:1":                          "web",
		"web@" + digest("a"):             "web",
		"web:1@" + digest("a"):           "web",
		"localhost:5000/web":             "localhost:5000/web",
		"localhost:5000/shop/web:1":      "localhost:5000/shop/web",
		"[::1]:5000/web@" + digest("a"):  "[::1]:5000/web",
		"localhost:5000/web:1@sha256:ab": "localhost:5000/web",
		"":                               "",
	} {
		if got := deploy.Repository(ref); got != want {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
}

func ExamplePinImages() {
	objs := []deploy.Object{{Body: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "shop/web:latest"}}},
	}}}
	pins, err := deploy.PinImages(objs, []deploy.Image{{Name: "shop/web", Ref: "shop/web:v1@sha256:1c6f…", Digest: "sha256:1c6f…"}})
	fmt.Println(deploy.Containers(objs[0])[0].Image(), err)
	fmt.Println(pins[0].Object, pins[0].Container, pins[0].Digest)
	// Output:
	// shop/web:v1@sha256:1c6f… <nil>
	// Pod web web sha256:1c6f…
}

package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Image says which digest containers of a repository run.
type Image struct {
	Name   string // repository as it stands in the manifests, such as "localhost:5000/shop/web"
	Ref    string // what it becomes: "repository:tag@sha256:…"
	Digest string // of Ref
	Source string // the repository as we know it, where nodes pull it by another name; empty: that of Ref
}

// Unknown is the digest that stands for one that a build has yet to give.
const Unknown = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// A Pin is one container that runs an image by digest.
type Pin struct {
	Object    string // address of the object; see [Object.String]
	Container string
	Init      bool   // an init container
	Ref       string // as nodes pull it
	Digest    string
	Source    string `json:",omitempty"` // the repository as we know it, if that is another name; see [Pin.Repository]
}

// Repository returns where the image of p lies, by the name that we know it by.
func (p Pin) Repository() string { return cmp.Or(p.Source, Repository(p.Ref)) }

// PinImages replaces the image of every container whose repository is the name
// of one of images, in every pod template of objs, and returns what it pinned.
// The loop is closed: it is an error when an image is used by no container.
// Objects that change are copied; objs itself is updated in place.
func PinImages(objs []Object, images []Image) ([]Pin, error) {
	var pins []Pin
	used := make([]bool, len(images))
	for i := range objs {
		if !HasPodTemplate(objs[i]) {
			continue
		}
		objs[i].Body = clone(objs[i].Body).(map[string]any)
		for _, c := range Containers(objs[i]) {
			repo := Repository(c.Image())
			n := slices.IndexFunc(images, func(im Image) bool { return im.Name == repo })
			if n < 0 {
				continue
			}
			used[n] = true
			c.body["image"] = images[n].Ref
			pins = append(pins, Pin{Object: objs[i].String(), Container: c.Name(), Init: c.Init, Ref: images[n].Ref, Digest: images[n].Digest, Source: images[n].Source})
		}
	}
	for n, ok := range used {
		if !ok {
			return pins, &UnusedImageError{Image: images[n], Seen: repositories(objs)}
		}
	}
	return pins, nil
}

// An UnusedImageError says that no container of the manifests uses an image that was to be pinned.
type UnusedImageError struct {
	Image Image
	Seen  []string // the repositories that containers do use
}

func (e *UnusedImageError) Error() string {
	if len(e.Seen) == 0 {
		return fmt.Sprintf("no container uses image %s (there are no containers)", e.Image.Name)
	}
	return fmt.Sprintf("no container uses image %s (containers use %s)", e.Image.Name, strings.Join(e.Seen, ", "))
}

// A Container is one container of a pod template. It is a view: it shares the
// object's memory.
type Container struct {
	Init bool
	body map[string]any
}

// Name returns the container's name.
func (c Container) Name() string { s, _ := c.body["name"].(string); return s }

// Image returns the container's image, as written.
func (c Container) Image() string { s, _ := c.body["image"].(string); return s }

// podSpecs says where each kind keeps the spec of its pods.
var podSpecs = map[string][]string{
	"Pod":                   {"spec"},
	"Deployment":            {"spec", "template", "spec"},
	"StatefulSet":           {"spec", "template", "spec"},
	"DaemonSet":             {"spec", "template", "spec"},
	"ReplicaSet":            {"spec", "template", "spec"},
	"ReplicationController": {"spec", "template", "spec"},
	"Job":                   {"spec", "template", "spec"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template", "spec"},
}

// HasPodTemplate reports whether o is of a built-in kind that makes pods, or is one.
func HasPodTemplate(o Object) bool {
	_, ok := podSpecs[o.Kind()]
	return ok && slices.Contains([]string{"", "apps", "batch"}, o.Group())
}

// PodSpec returns where o keeps the spec of its pods, or nil.
func PodSpec(o Object) Path {
	if !HasPodTemplate(o) {
		return nil
	}
	return podSpecs[o.Kind()]
}

// Containers returns the containers of o's pod template, init containers first.
func Containers(o Object) []Container {
	if !HasPodTemplate(o) {
		return nil
	}
	spec, _ := o.Field(podSpecs[o.Kind()]...).(map[string]any)
	var found []Container
	for _, list := range []struct {
		key  string
		init bool
	}{{"initContainers", true}, {"containers", false}} {
		items, _ := spec[list.key].([]any)
		for _, item := range items {
			if body, ok := item.(map[string]any); ok {
				found = append(found, Container{Init: list.init, body: body})
			}
		}
	}
	return found
}

// Repository returns an image reference without its tag and digest.
func Repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}

func repositories(objs []Object) []string {
	var seen []string
	for _, o := range objs {
		for _, c := range Containers(o) {
			seen = append(seen, Repository(c.Image()))
		}
	}
	slices.Sort(seen)
	return slices.Compact(seen)
}

// clone copies the maps and slices of a JSON value.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = clone(e)
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = clone(e)
		}
		return s
	}
	return v
}

package kube

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"github.com/slipway-ci/slipway/deploy"
)

// Field managers that stand for client-side applies. A field stays as long as
// anybody owns it, and these never let go of one: what we leave out would stay.
// So whatever they own becomes ours with the first change that we make.
const (
	kubectlApply = "kubectl-client-side-apply"
	beforeApply  = "before-first-apply" // whatever there was when an object was first applied server-side
)

// byClients reports whether an entry of managedFields is that of a client-side apply.
func byClients(entry map[string]any) bool {
	return (entry["manager"] == kubectlApply || entry["manager"] == beforeApply) && entry["operation"] == "Update" &&
		(entry["subresource"] == nil || entry["subresource"] == "")
}

// managers returns the entries of live's managedFields that take says yes to.
func managers(live map[string]any, take func(entry map[string]any) bool) []map[string]any {
	all, _ := deploy.Object{Body: live}.Field("metadata", "managedFields").([]any)
	var taken []map[string]any
	for _, e := range all {
		if e, ok := e.(map[string]any); ok && take(e) {
			taken = append(taken, e)
		}
	}
	return taken
}

// inheritance is what becomes ours of an item.
type inheritance struct {
	patch []byte           // of its managedFields; it names the version that it is for
	owned map[string]any   // all that we own then
	from  sets.Set[string] // the managers that own nothing any more
}

// inherit returns how what client-side applies own of an item becomes ours. It
// is nil where there is nothing to do, or where they used another version of the API.
//
// Of what there was before the first apply, only what we have applied since is
// ours: the rest may be of controllers, such as the volume of a claim.
func (it *item) inherit() (*inheritance, error) {
	if it.set == nil || it.forced || len(managers(it.live, byClients)) == 0 {
		return nil, nil
	}
	version := it.object.APIVersion()
	ours := ownedFields(it.live, version)
	var entries []any
	from := sets.New[string]()
	for _, e := range managers(it.live, func(map[string]any) bool { return true }) {
		if byClients(e) && e["manager"] == beforeApply {
			if ours == nil {
				entries = append(entries, e)
				continue
			}
			fields, _ := e["fieldsV1"].(map[string]any)
			e = maps.Clone(e)
			e["fieldsV1"] = common(fields, ours)
		}
		if byClients(e) {
			from.Insert(e["manager"].(string))
		}
		entries = append(entries, e)
	}
	if from.Len() == 0 {
		return nil, nil
	}
	metadata, _ := it.live["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	metadata["managedFields"] = entries
	live := maps.Clone(it.live)
	live["metadata"] = metadata
	object := &unstructured.Unstructured{Object: live}
	patch, err := csaupgrade.UpgradeManagedFieldsPatch(object, from, Manager)
	if err != nil {
		return nil, err
	}
	if err := csaupgrade.UpgradeManagedFields(object, from, Manager); err != nil {
		return nil, err
	}
	owned := ownedFields(object.Object, version)
	if owned == nil {
		return nil, nil
	}
	return &inheritance{patch, owned, from}, nil
}

// try returns what applying an item would make of it, inheritance included, and nothing
// of one that is not there yet.
func (c *Cluster) try(ctx context.Context, it *item) (map[string]any, error) {
	if it.live == nil {
		return nil, c.patch(ctx, it, metav1.DryRunAll)
	}
	result, err := c.tried(ctx, it)
	if err != nil {
		return nil, err
	}
	ours, err := it.inherit()
	if err != nil || ours == nil {
		return result, err
	}
	kept := map[string]any{}
	lets := func(e map[string]any) bool {
		name, _ := e["manager"].(string)
		return byClients(e) && ours.from.Has(name)
	}
	for _, e := range managers(result, func(e map[string]any) bool { return !lets(e) }) {
		fields, _ := e["fieldsV1"].(map[string]any)
		kept = together(kept, fields)
	}
	left, dropped := prune(result, ours.owned, kept)
	body, ok := left.(map[string]any)
	if !ok || !dropped {
		return result, nil
	}
	patch, err := overwrite(it.live, body)
	if err != nil {
		return nil, err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	// The server says what becomes of a field that nobody gives a value.
	tried, err := c.of(it).Patch(limited, it.object.Name(), types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: Manager, DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, err
	}
	return tried.Object, nil
}

// takeOver makes ours what client-side applies own of an item. It changes
// nothing but managedFields: what we do not want goes with the apply after it.
func (c *Cluster) takeOver(ctx context.Context, it *item) error {
	for try := 1; ; try++ {
		ours, err := it.inherit()
		if err != nil || ours == nil {
			return err
		}
		limited, cancel := c.limit(ctx)
		_, err = c.of(it).Patch(limited, it.object.Name(), types.JSONPatchType, ours.patch, metav1.PatchOptions{FieldManager: Manager})
		cancel()
		if apierrors.IsNotFound(err) {
			return nil // the apply makes it anew
		}
		if !apierrors.IsConflict(err) || try == 5 {
			return err
		}
		// Somebody wrote it since we looked. As long as that was no client-side
		// apply, such as one of its status, what was planned still holds.
		now := &item{object: it.object, kind: it.kind}
		if err := c.readOne(ctx, place{it.kind.resource, it.object.Namespace()}, now); err != nil || now.live == nil {
			return err
		}
		before, after := managers(it.live, byClients), managers(now.live, byClients)
		if len(after) > 0 && !reflect.DeepEqual(before, after) {
			return &said{"was applied by kubectl meanwhile (run again)", err}
		}
		it.live = now.live
	}
}

// overwrite returns a JSON patch that makes all of to that a client may write what it is.
func overwrite(from, to map[string]any) ([]byte, error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	var ops []operation
	differ := func(path string, from, to map[string]any, but ...string) {
		names := maps.Clone(from)
		maps.Copy(names, to)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			old, had := from[name]
			now, has := to[name]
			at := path + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			switch {
			case slices.Contains(but, name) || had && has && reflect.DeepEqual(old, now):
			case has:
				ops = append(ops, operation{"add", at, now})
			default:
				ops = append(ops, operation{Op: "remove", Path: at})
			}
		}
	}
	differ("/", from, to, "apiVersion", "kind", "metadata", "status")
	was, _ := from["metadata"].(map[string]any)
	is, _ := to["metadata"].(map[string]any)
	differ("/metadata/", was, is, "managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds")
	return json.Marshal(ops)
}

// common returns the fields, as fieldsV1 has them, that are in both a and b.
func common(a, b map[string]any) map[string]any {
	both := map[string]any{}
	for name, x := range a {
		y, ok := b[name].(map[string]any)
		x, is := x.(map[string]any)
		switch {
		case !ok || !is:
		case len(x) == 0 && len(y) == 0:
			both[name] = map[string]any{}
		case len(x) > 0 && len(y) > 0:
			if below := common(x, y); len(below) > 0 {
				both[name] = below
			}
		}
	}
	return both
}

// together returns the fields that are in a or in b.
func together(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	for name, y := range b {
		x, _ := all[name].(map[string]any)
		below, _ := y.(map[string]any)
		if all[name] = below; x != nil {
			all[name] = together(x, below)
		}
	}
	return all
}

// prune returns value without the fields of owned that nobody keeps, as a server
// does for an applier, and whether there were any. It writes into value.
func prune(value any, owned, kept map[string]any) (left any, dropped bool) {
	for name, below := range owned {
		fields, _ := below.(map[string]any)
		others, keeps := kept[name].(map[string]any)
		if name == "." || keeps && (len(others) == 0 || len(fields) == 0) {
			continue
		}
		_, itself := fields["."]
		whole := !keeps && (itself || len(fields) == 0)
		child := func(v any) (any, bool) {
			if whole {
				return nil, true
			}
			return prune(v, fields, others)
		}
		switch v := value.(type) {
		case map[string]any:
			key, ok := strings.CutPrefix(name, "f:")
			old, there := v[key]
			if !ok || !there {
				continue
			}
			now, less := child(old)
			if dropped = dropped || less; less && empty(now) {
				delete(v, key)
			} else {
				v[key] = now
			}
		case []any:
			n := position(v, name)
			if n < 0 {
				continue
			}
			now, less := child(v[n])
			if dropped = dropped || less; less && empty(now) {
				value = slices.Delete(v, n, n+1)
			} else {
				v[n] = now
			}
		}
	}
	return value, dropped
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// position returns where in list the item is that fieldsV1 calls name, or -1.
func position(list []any, name string) int {
	kind, text, _ := strings.Cut(name, ":")
	var item any
	if json.Unmarshal([]byte(text), &item) != nil {
		return -1
	}
	switch kind {
	case "k":
		return findByKeys(item, list, text)
	case "v":
		return findByValue(item, list, text)
	}
	return -1
}

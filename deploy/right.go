package deploy

import (
	"cmp"
	"slices"
	"strings"
)

// A Right is leave to do something to objects of one resource, as RBAC grants it.
type Right struct {
	Namespace string   // empty: objects that have none, or those of all namespaces
	Group     string   // empty: the core group
	Resource  string   // such as deployments, or pods/log
	Names     []string // of the objects; empty: all
	Verbs     []string
}

// JoinRights returns what grants the same as all of rights, in order: one for
// each resource, and what is said of single names only where it adds to that.
func JoinRights(rights []Right) []Right {
	type thing struct{ namespace, group, resource, names string }
	byThing := map[thing]*Right{}
	var joined []*Right
	for _, r := range rights {
		names := slices.Compact(slices.Sorted(slices.Values(r.Names)))
		at := thing{r.Namespace, r.Group, r.Resource, strings.Join(names, " ")}
		if byThing[at] == nil {
			byThing[at] = &Right{Namespace: r.Namespace, Group: r.Group, Resource: r.Resource, Names: names}
			joined = append(joined, byThing[at])
		}
		verbs := append(byThing[at].Verbs, r.Verbs...)
		slices.Sort(verbs)
		byThing[at].Verbs = slices.Compact(verbs)
	}
	var left []Right
	for _, r := range joined {
		if len(r.Names) > 0 {
			if all := byThing[thing{r.Namespace, r.Group, r.Resource, ""}]; all != nil {
				r.Verbs = slices.DeleteFunc(r.Verbs, func(v string) bool { return slices.Contains(all.Verbs, v) })
			}
		}
		if len(r.Verbs) > 0 {
			left = append(left, *r)
		}
	}
	slices.SortFunc(left, func(a, b Right) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource), slices.Compare(a.Names, b.Names))
	})
	return left
}

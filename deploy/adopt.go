package deploy

import (
	"fmt"
	"slices"
	"strings"
)

// A ManagedError says that an object is looked after by another tool, which would
// undo what we do, or delete it.
type ManagedError struct {
	Tool string // such as "Helm"
	Name string // what it is called there, such as "shop/web"; may be empty

	Managers []string // the field managers under whose names it writes
}

func (e *ManagedError) Error() string {
	name := e.Tool
	if e.Name != "" {
		name += " (" + e.Name + ")"
	}
	return fmt.Sprintf("is managed by %s (let go of it there and say adopt: true, or leave it out of the manifests)", name)
}

// Managed returns an error if o, as it is in the cluster, carries the marks of
// another tool that keeps objects as it wants them, and nil otherwise: those of
// Helm releases, of Argo CD's applications and of Flux.
func Managed(o Object) *ManagedError {
	label := func(name string) string { s, _ := o.Field("metadata", "labels", name).(string); return s }
	annotation := func(name string) string { s, _ := o.Field("metadata", "annotations", name).(string); return s }
	in := func(namespace, name string) string { return strings.TrimPrefix(namespace+"/"+name, "/") }
	if release := annotation("meta.helm.sh/release-name"); release != "" && label("app.kubernetes.io/managed-by") == "Helm" {
		return &ManagedError{"Helm", in(annotation("meta.helm.sh/release-namespace"), release), []string{"helm", "Helm"}}
	}
	if id := annotation("argocd.argoproj.io/tracking-id"); id != "" {
		application, _, _ := strings.Cut(id, ":")
		return &ManagedError{"Argo CD", application, []string{"argocd-controller", "argocd-application-controller"}}
	}
	if application := label("argocd.argoproj.io/instance"); application != "" {
		return &ManagedError{"Argo CD", application, []string{"argocd-controller", "argocd-application-controller"}}
	}
	for _, kind := range []string{"kustomize", "helm"} {
		if name := label(kind + ".toolkit.fluxcd.io/name"); name != "" {
			return &ManagedError{"Flux", in(label(kind+".toolkit.fluxcd.io/namespace"), name), []string{kind + "-controller", "helm"}}
		}
	}
	return nil
}

// Forces reports whether a field, as a [ConflictError] names it, is among those
// that s takes from whoever has them: it is one of them, or lies in one.
func (s Set) Forces(field string) bool {
	return slices.ContainsFunc(s.Force, func(path string) bool {
		rest, ok := strings.CutPrefix(field, path)
		return ok && path != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

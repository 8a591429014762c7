package stages

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// A Renderer makes objects of a folder with a kustomization. It reads files only.
type Renderer interface {
	// Render returns the objects of dir, an absolute path. Its error wraps
	// a [deploy.NoKustomizationError] when there is none.
	Render(ctx context.Context, dir string) ([]deploy.Object, error)
	// Patch returns objs with patches applied, in their places. What is wrong with
	// a patch is a *[deploy.PatchError].
	Patch(objs []deploy.Object, patches []deploy.Patch) ([]deploy.Object, error)
	// Encode returns objects as YAML, byte for byte as "kustomize build" prints them.
	Encode(objs []deploy.Object) ([]byte, error)
}

// A Validator finds what an API server would refuse, without one. It changes nothing.
type Validator interface {
	// Validate returns all that is wrong with objs, each a *[deploy.FieldError].
	// Objects that name no namespace are in namespace, which may be unknown.
	Validate(ctx context.Context, objs []deploy.Object, namespace string) []error
}

// Manifests are rendered objects, and which images their containers run. The
// kinds render and deploy have them in common.
type Manifests struct {
	Kustomize string                    `yaml:"kustomize,required" doc:"Folder with a kustomization."`
	Images    map[string]pipeline.Value `yaml:"images,pushed" doc:"What containers run, by repository as it stands in the rendered manifests. What a stage before this one pushes needs not be listed."`
	Patches   []Patch                   `yaml:"patches" doc:"Changes of what has been rendered, one after the other."`
	Secrets   map[string]Secret         `yaml:"secrets" doc:"Secrets to make, by the name that the manifests use for them. A hash of the content is added to it."`
}

// An origin says where the digest of a repository comes from.
type origin struct {
	name  string         // the repository, as it stands in the manifests
	value pipeline.Value // the image
	must  bool           // written by the user: a container has to use it
}

// render returns the objects of the folder as they are written, patched, and
// with their Secrets.
func (m Manifests) render(ctx context.Context, r Renderer, sc pipeline.Scope) ([]deploy.Object, error) {
	objs, err := r.Render(ctx, within(sc.Dir, m.Kustomize))
	var none *deploy.NoKustomizationError
	if errors.As(err, &none) {
		return nil, &pipeline.FieldError{Field: "kustomize", Code: "no-kustomization", Err: err}
	}
	if err != nil {
		return nil, err
	}
	for i := range objs { // as the user would name it
		if rel, err := filepath.Rel(sc.Dir, objs[i].File); err == nil && filepath.IsAbs(objs[i].File) {
			objs[i].File = filepath.Join(filepath.Dir(sc.File), rel)
		}
	}
	if objs, err = m.patch(r, objs); err != nil {
		return nil, err
	}
	return m.secretsOf(sc, objs)
}

// validate says what is wrong with objs, where it is written.
func validate(ctx context.Context, v Validator, objs []deploy.Object, namespace string) error {
	var list pipeline.ErrorList
	for _, err := range v.Validate(ctx, objs, namespace) {
		var field *deploy.FieldError
		if !errors.As(err, &field) {
			return err
		}
		pos := pipeline.Pos{Col: 1}
		if pos.File, pos.Line = field.Object.Where(field.Path); pos.Line == 0 {
			pos.Col = 0
		}
		list = append(list, &pipeline.Error{Pos: pos, Code: field.Code, Err: errors.New(field.Text())})
	}
	return list.Err()
}

// settle replaces the images that are named by their references.
func (m *Manifests) settle(ctx context.Context, r Registry, sc pipeline.Scope, act *pipeline.Action) error {
	for name, v := range m.Images {
		v, err := settled(ctx, r, sc, v, act)
		if err != nil {
			return err
		}
		m.Images[name] = v
	}
	return nil
}

// origins returns the images that containers of objs are pinned to: those that
// are written, then those that a stage before this one puts into the repository
// which a container names.
func (m Manifests) origins(sc pipeline.Scope, objs []deploy.Object) []origin {
	var found []origin
	for _, name := range pipeline.Keys(m.Images) {
		found = append(found, origin{name, m.Images[name], true})
	}
	uses := repositories(objs)
	if len(uses) == 0 {
		return found
	}
	for _, id := range sc.Upstream() {
		repository, known := sc.Steps.Output(pipeline.Ref{Stage: id, Output: "repository"})
		name := fmt.Sprint(repository)
		if !known || !slices.Contains(uses, name) || slices.ContainsFunc(found, func(o origin) bool { return o.name == name }) {
			continue
		}
		found = append(found, origin{name, pipeline.Promise(id, "image", pipeline.Image), false})
	}
	return found
}

// pin returns a copy of objs in which containers run the images of origins. An
// image that is not known yet becomes [deploy.Unknown].
func pin(sc pipeline.Scope, objs []deploy.Object, origins []origin) ([]deploy.Object, []deploy.Pin, error) {
	objs = slices.Clone(objs)
	var images []deploy.Image
	for _, o := range origins {
		im := deploy.Image{Name: o.name, Digest: deploy.Unknown, Ref: o.name + "@" + deploy.Unknown}
		ref, err := o.value.Image(sc)
		switch {
		case err == nil && ref.Digest == "": // the registry that was asked did not say
		case err == nil && ref.Repository == "":
			return nil, nil, &pipeline.FieldError{
				Field: "images." + o.name, Code: "not-pushed",
				Err: fmt.Errorf("image of %s is in no registry, so no node can pull it (give its stage push:)", o.name),
			}
		case err == nil:
			im.Digest, im.Ref = ref.Digest, ref.Ref()
		case !errors.Is(err, pipeline.ErrUnkept):
			return nil, nil, err
		}
		if pulled := sc.Registries.Pulled(im.Ref); pulled != im.Ref {
			im.Ref, im.Source = pulled, deploy.Repository(im.Ref)
		}
		images = append(images, im)
	}
	pins, err := deploy.PinImages(objs, images)
	var unused *deploy.UnusedImageError
	if errors.As(err, &unused) {
		return nil, nil, &pipeline.FieldError{Field: "images." + unused.Image.Name, Code: "unused-image", Err: err}
	}
	return objs, pins, err
}

// repositories returns what the containers of objs run, without tags.
func repositories(objs []deploy.Object) []string {
	var names []string
	for _, o := range objs {
		for _, c := range deploy.Containers(o) {
			names = append(names, deploy.Repository(c.Image()))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// CheckPins finds containers that run what a stage of the plan pushes although
// their own stage does not come after it: they would get the image of an
// earlier run. The error is a [pipeline.ErrorList].
func CheckPins(plan *pipeline.Plan) error {
	givers := map[string][]pipeline.ID{} // by the repository that they push to
	for _, s := range plan.Steps {
		if v, ok := s.Outputs["repository"]; ok {
			givers[v.String()] = append(givers[v.String()], s.ID)
		}
	}
	var errs pipeline.ErrorList
	past := ancestors{plan: plan}
	for _, s := range plan.Steps {
		for _, repository := range s.Uses {
			for _, giver := range givers[repository] {
				if past.of(s.ID)[giver] || past.of(giver)[s.ID] {
					continue
				}
				errs.Add(s.Pos, s.ID, "missing-need", fmt.Errorf("a container runs %s, which stage %s pushes, but this stage does not come after it (add needs: [%s])", repository, giver, giver.Stage()))
			}
		}
	}
	return errs.Err()
}

// ancestors are the steps that a step comes after, found out when they are asked for.
type ancestors struct {
	plan  *pipeline.Plan
	index map[pipeline.ID]int // of the plan's steps
	known map[pipeline.ID]map[pipeline.ID]bool
}

func (a *ancestors) of(id pipeline.ID) map[pipeline.ID]bool {
	if seen, ok := a.known[id]; ok {
		return seen
	}
	if a.index == nil {
		a.index, a.known = map[pipeline.ID]int{}, map[pipeline.ID]map[pipeline.ID]bool{}
		for i, s := range a.plan.Steps {
			a.index[s.ID] = i
		}
	}
	seen := map[pipeline.ID]bool{}
	for todo := []pipeline.ID{id}; len(todo) > 0; {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, n := range a.plan.Steps[a.index[next]].Needs {
			if !seen[n.Stage] {
				seen[n.Stage] = true
				todo = append(todo, n.Stage)
			}
		}
	}
	a.known[id] = seen
	return seen
}

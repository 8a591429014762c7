package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/slipway-ci/slipway/pipeline"
)

// Elem returns the type of the elements of a list.
func (e *expression) Elem() pipeline.Type { return e.elem }

// Eval returns the value in sc. Images come as [pipeline.ImageRef].
func (e *expression) Eval(sc pipeline.Scope) (any, error) { return e.eval(sc, output) }

// Show returns the text as far as it is known in sc, or "" if nothing is.
func (e *expression) Show(sc pipeline.Scope) string {
	if e.typ != pipeline.String || e.opaque || e.Secret() {
		return ""
	}
	got, err := e.eval(sc, func(sc pipeline.Scope, ref pipeline.Ref) (any, error) {
		v, err := output(sc, ref)
		if note := "(known after " + string(ref.Step()) + ")"; errors.Is(err, pipeline.ErrUnkept) {
			if e.images[ref.Output] {
				return imageMap{"digest": note, "repository": note, "ref": note}, nil
			}
			return note, nil
		}
		return v, err
	})
	text, _ := got.(string)
	if err != nil {
		return ""
	}
	return text
}

// An outputs function returns the value of an output as CEL sees it.
type outputs func(pipeline.Scope, pipeline.Ref) (any, error)

func (e *expression) eval(sc pipeline.Scope, output outputs) (any, error) {
	vars := map[string]any{}
	for _, root := range e.roots {
		v := sc.Facts[root]
		if lazy, ok := v.(func() any); ok {
			v = lazy()
		}
		if err, ok := v.(error); ok {
			return nil, e.wrap(err)
		}
		switch root {
		case "matrix":
			root = matrixOf(e.stage)
		case "dirs":
			find, ok := v.(func(string) ([]string, error))
			if !ok {
				return nil, e.wrap(errors.New("dirs: no folders are known here"))
			}
			root, v = folderVar, folders(find)
		}
		vars[root] = v
	}
	stages, err := e.stages(sc, output)
	if err != nil {
		return nil, err
	}
	vars["stages"] = stages
	out, _, err := e.program.Eval(vars)
	if err != nil && strings.Contains(err.Error(), "cost limit exceeded") {
		err = errors.New("it is too much work (make it of shorter texts or lists)")
	}
	if err != nil {
		return nil, e.wrap(err)
	}
	got, err := native(out)
	if err != nil {
		return nil, e.wrap(err)
	}
	return got, nil
}

func (e *expression) wrap(err error) error {
	return fmt.Errorf("%s: %w", strings.TrimSpace(e.src), err)
}

// stages returns what the expression may see of stages: the outputs that it
// mentions, by cell where there are cells.
func (e *expression) stages(sc pipeline.Scope, output outputs) (map[string]any, error) {
	known := map[string]any{}
	byCell := map[pipeline.ID]map[string]any{}
	for _, id := range e.maps {
		byCell[id] = map[string]any{}
		for _, c := range sc.Cells[id] {
			byCell[id][c] = map[string]any{}
		}
	}
	for _, ref := range e.refs {
		ref = ref.In(sc)
		each := []string{ref.Cell}
		if byCell[ref.Stage] != nil && ref.Cell == "" {
			each = sc.Cells[ref.Stage]
		}
		for _, c := range each {
			ref.Cell = c
			if have := sc.Cells[ref.Stage]; c != "" && !slices.Contains(have, c) {
				return nil, e.wrap(fmt.Errorf("stage %s has no cell %q%s", ref.Stage, c, choice(have)))
			}
			got, err := output(sc, ref)
			if err != nil {
				return nil, err
			}
			into := known
			name := string(ref.Stage)
			if c != "" {
				into, name = byCell[ref.Stage], c
			}
			outs, _ := into[name].(map[string]any)
			if outs == nil {
				outs = map[string]any{}
				into[name] = outs
			}
			outs[ref.Output] = got
		}
	}
	for id, m := range byCell {
		known[string(id)] = cells{types.NewStringInterfaceMap(e.adapter, m), e.adapter, sc.Cells[id]}
	}
	return known, nil
}

// output returns the value of ref as CEL sees it.
func output(sc pipeline.Scope, ref pipeline.Ref) (any, error) {
	v, err := sc.Output(ref)
	if img, ok := v.(pipeline.ImageRef); ok {
		return imageMap{"digest": img.Digest, "repository": img.Repository, "tags": img.Tags, "ref": img.Ref()}, err
	}
	return v, err
}

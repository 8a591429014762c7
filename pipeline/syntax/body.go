package syntax

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// A body is the body of a stage as it is written. Planning decodes it anew with
// what is known then, so that one stage can become several steps.
type body struct {
	*tree
	stage    pipeline.ID
	node     *yaml.Node
	kind     pipeline.Kind
	compiler pipeline.Compiler
	names    pipeline.Names
}

var (
	_ pipeline.Planner = (*body)(nil)
	_ pipeline.Taker   = (*body)(nil)
)

// Plan decodes the body with the values in sc and plans it. Its errors have
// positions in the file.
func (b *body) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	p, d := b.decode(&sc)
	if err := d.errs.Err(); err != nil {
		return pipeline.Action{}, err
	}
	act, err := p.Plan(ctx, sc)
	return act, b.located(sc, d, err)
}

// Take is Plan with what an earlier run kept, if the kind can do with that.
func (b *body) Take(ctx context.Context, sc pipeline.Scope, held pipeline.Held) (pipeline.Action, bool, error) {
	p, d := b.decode(&sc)
	if err := d.errs.Err(); err != nil {
		return pipeline.Action{}, false, err
	}
	taker, ok := p.(pipeline.Taker)
	if !ok {
		return pipeline.Action{}, false, nil
	}
	act, ok, err := taker.Take(ctx, sc, held)
	return act, ok, b.located(sc, d, err)
}

// located gives an error of the body a place in the file.
func (b *body) located(sc pipeline.Scope, d *decoder, err error) error {
	if err == nil {
		return nil
	}
	var list pipeline.ErrorList
	list.Add(b.pos(b.node), sc.Step, "cannot-plan", d.placed(err))
	return list.Err()
}

// decode fills a new body of the kind. Mistakes are in the decoder's errs.
func (b *body) decode(sc *pipeline.Scope) (pipeline.Planner, *decoder) {
	stage := b.stage
	if sc != nil {
		stage = sc.Step
	}
	d := &decoder{tree: b.tree, compiler: b.compiler, names: b.names, scope: sc, at: fmt.Sprintf("stages.%s.%s", b.stage, b.kind.Name), fields: map[string]pipeline.Pos{}}
	p := b.kind.New()
	d.decode(b.node, reflect.ValueOf(p).Elem(), "", hint{key: b.kind.Name})
	if c, ok := p.(pipeline.Checker); ok && len(d.errs) == 0 {
		for _, err := range c.Check() {
			d.errs.Add(b.pos(b.node), "", "bad-value", d.placed(err))
		}
	}
	for _, e := range d.errs {
		e.Stage = stage
	}
	return p, d
}

// placed gives a FieldError the position of its field, or of the nearest thing
// around it that is written.
func (d *decoder) placed(err error) error {
	var f *pipeline.FieldError
	if !errors.As(err, &f) {
		return err
	}
	for path := f.Field; ; {
		if pos, ok := d.fields[path]; ok {
			return &pipeline.Error{Pos: pos, Code: f.Code, Err: f.Err}
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return &pipeline.Error{Pos: d.fields[""], Code: f.Code, Err: f.Err}
		}
		path = path[:i]
	}
}

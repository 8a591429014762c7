package syntax

import (
	"errors"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// literals is a Compiler that takes expressions for text.
type literals struct{}

func (literals) Template(string, pipeline.Place, pipeline.Names) (pipeline.Expr, error) {
	return nil, nil
}

func (literals) Bare(string, pipeline.Place, pipeline.Names) (pipeline.Expr, error) { return nil, nil }

// plain is a Compiler for places where no expression may stand.
type plain struct{ literals }

func (plain) Template(text string, at pipeline.Place, _ pipeline.Names) (pipeline.Expr, error) {
	if i := strings.Index(text, "${{"); i >= 0 {
		return nil, &pipeline.Error{Pos: at(i), Code: "no-expression-here", Err: errors.New("no expression may stand here (write the value)")}
	}
	return nil, nil
}

// unchecked is a Compiler that believes every expression.
type unchecked struct{}

func (unchecked) Template(text string, _ pipeline.Place, _ pipeline.Names) (pipeline.Expr, error) {
	if !strings.Contains(text, "${{") {
		return nil, nil
	}
	return believed{}, nil
}

func (unchecked) Bare(string, pipeline.Place, pipeline.Names) (pipeline.Expr, error) {
	return believed{}, nil
}

// believed is an expression that can be anything.
type believed struct{}

func (believed) Refs() []pipeline.Ref             { return nil }
func (believed) Type() pipeline.Type              { return pipeline.Any }
func (believed) Secret() bool                     { return false }
func (believed) Eval(pipeline.Scope) (any, error) { return nil, pipeline.ErrUnkept }

package expr_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/expr"
)

// TestBounds evaluates what would fill any memory: it is refused with a cure,
// before it does.
func TestBounds(t *testing.T) {
	big := strings.Repeat("b", 600_000)
	long := strings.Repeat("a", 1000)
	share := "[1]" + strings.Repeat(".map(a, [a, a])", 40)
	for name, tt := range map[string]struct{ text, want string }{
		"grown by replace":  {"${{ '" + long + "'.replace('a', '" + long + long + "') }}", "replace would make"},
		"replaced a little": {"${{ vars.big.replace('b', vars.big, 2) }}", "replace would make"},
		"between":           {"${{ vars.big.replace('', 'xyz') }}", "replace would make"},
		"joined":            {"${{ '" + long + "'.split('').join('" + long + long + "') }}", "join would make"},
		"doubled by format": {"${{ ['a']" + strings.Repeat(".map(a, '%s%s'.format([a, a]))", 40) + " }}", "format would make"},
		"a list many times": {"${{ " + share + " }}", "more than 100000 elements (make a shorter list)"},
		"and as a text":     {"${{ '%s'.format([" + share + "]) }}", "format would make"},
		"put together":      {"${{ vars.big }} ${{ vars.big }}", "expressions make a text of more than 1 MiB"},
		"added":             {"${{ vars.big" + strings.Repeat(" + vars.big", 100) + " }}", "too much work"},
	} {
		t.Run(name, func(t *testing.T) {
			in := names
			in.Vars = map[string]pipeline.Type{"big": pipeline.String}
			e, err := new(expr.Compiler).Template(tt.text, at, in)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = e.Eval(pipeline.Scope{Facts: map[string]any{"vars": map[string]any{"big": big}}})
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got …%v, want %q", err, tt.want)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
				t.Errorf("it took %d MiB", got>>20)
			}
		})
	}
	e, err := new(expr.Compiler).Template("${{ 'a-b-c'.replace('-', '+', 1) }} ${{ ['a', 'b'].join() }} ${{ '%s %d %.1f'.format([['x'], 7, 1.5]) }}", at, names)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Eval(scope()); got != `a+b-c ab [x] 7 1.5` {
		t.Errorf("small ones: got %v, %v", got, err)
	}
}

package syntax_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

// A pair is a broken file of testdata, x.yaml, with what is said of it, x.err,
// and x.fix.yaml, which is right and differs only where x.err points.
type pair struct{ name string }

func pairs(t *testing.T) []pair {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	var all []pair
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); !strings.HasSuffix(name, ".fix") {
			all = append(all, pair{name})
		}
	}
	return all
}

func (p pair) read(t *testing.T, suffix string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", p.name+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parse parses text as x.yaml, which may include files of testdata.
func (p pair) parse(text string) error {
	parser := syntax.Parser{Kinds: stages.Kinds(stages.Tools{}), Compiler: new(expr.Compiler)}
	parser.Read = func(name string) ([]byte, error) {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if errors.Is(err, os.ErrNotExist) {
			err = errors.New("no such file")
		}
		return text, err
	}
	_, err := parser.Parse(p.name+".yaml", []byte(text))
	return err
}

// TestErrors compares what is said of each broken file with its golden twin.
func TestErrors(t *testing.T) {
	for _, p := range pairs(t) {
		t.Run(p.name, func(t *testing.T) {
			text := p.read(t, ".yaml")
			err := p.parse(text)
			if err == nil {
				t.Fatal("no error")
			}
			var got bytes.Buffer
			report.Errors(&got, err, func(string) []byte { return []byte(text) })
			if *update {
				if err := os.WriteFile(filepath.Join("testdata", p.name+".err"), got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := p.read(t, ".err"); got.String() != want {
				t.Errorf("got:\n%s\nwant:\n%s", &got, want)
			}
		})
	}
}

// TestFixes checks that what is said of a broken file is where it is broken: the
// file is right once the lines that are named are.
func TestFixes(t *testing.T) {
	for _, p := range pairs(t) {
		t.Run(p.name, func(t *testing.T) {
			fix := p.read(t, ".fix.yaml")
			if err := p.parse(fix); err != nil {
				t.Errorf("the fix is broken, too:\n%v", err)
			}
			for _, line := range changed(p.read(t, ".yaml"), fix) {
				if named := p.lines(t); !named[line] {
					t.Errorf("the fix changes line %d, but errors are on %v", line, named)
				}
			}
		})
	}
}

// lines returns the lines of x.yaml that x.err points to.
func (p pair) lines(t *testing.T) map[int]bool {
	t.Helper()
	named := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(p.name)+`\.yaml:(\d+):`).FindAllStringSubmatch(p.read(t, ".err"), -1) {
		n, _ := strconv.Atoi(m[1]) // digits
		named[n] = true
	}
	return named
}

// changed returns the lines of broken that are not in fix. A line that is only
// added to it counts as part of the one before.
func changed(broken, fix string) []int {
	a, b := strings.Split(broken, "\n"), strings.Split(fix, "\n")
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = 1 + common[i+1][j+1]
			}
		}
	}
	var lines []int
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			i++
			lines = append(lines, i)
		default:
			if j++; !slices.Contains(lines, i) && !slices.Contains(lines, i+1) {
				lines = append(lines, max(1, i))
			}
		}
	}
	return lines
}

// TestSuggestions does by program what errors suggest: they are gone then, the
// others stay, and none comes.
func TestSuggestions(t *testing.T) {
	applied := 0
	for _, p := range pairs(t) {
		text := p.read(t, ".yaml")
		var list pipeline.ErrorList
		if !errors.As(p.parse(text), &list) {
			t.Fatal(p.name, "has no errors")
		}
		lines := strings.Split(text, "\n")
		var stay []string
		for _, e := range slices.Backward(list) { // from the end, so that columns stay
			m := regexp.MustCompile(`did you mean "([^"]+)"\?`).FindStringSubmatch(e.Err.Error())
			if m == nil {
				stay = append(stay, e.Err.Error())
				continue
			}
			applied++
			line := []rune(lines[e.Pos.Line-1])
			head, word := line[:e.Pos.Col-1], regexp.MustCompile(`^(['"]?)[^\s'",.:}\]()?]*(,\d+)?`).FindStringSubmatch(string(line[e.Pos.Col-1:]))
			lines[e.Pos.Line-1] = string(head) + word[1] + m[1] + strings.TrimPrefix(string(line[e.Pos.Col-1:]), word[0])
		}
		var left []string
		if errors.As(p.parse(strings.Join(lines, "\n")), &list) {
			for _, e := range slices.Backward(list) {
				left = append(left, e.Err.Error())
			}
		}
		if len(stay) == 0 && left == nil || slices.Equal(left, stay) {
			continue
		}
		t.Errorf("%s, with what is suggested, has\n%s\nwant\n%s", p.name, strings.Join(left, "\n"), strings.Join(stay, "\n"))
	}
	if applied < 15 {
		t.Error(fmt.Sprint("only ", applied, " suggestions were applied"))
	}
}

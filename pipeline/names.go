package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Names are what the expressions of a pipeline file may mention.
type Names struct {
	Vars   map[string]Type
	Stages map[ID]map[string]Type // outputs by stage; nil where no stage is known
	Matrix map[ID]map[string]Type // of stages with a matrix: the values of a cell
	Cells  map[ID][]string        // of stages with a matrix: its cells, if they are known
	Stage  ID                     // whose words these are, if they are of one
}

// StatusOutput is the output that every stage has: how it ended.
const StatusOutput = "status"

// Facts returns the names that expressions may use in every file, with their
// fields: what is known of the surroundings.
func Facts() map[string]map[string]Type {
	return map[string]map[string]Type{
		"environment": {"name": String, "namespace": String, "context": String, "clusterUID": String, "protected": Bool, "promotes": String},
		"git": {
			"sha": String, "short": String, "branch": String, "tag": String, "slug": String,
			"describe": String, "dirty": Bool, "epoch": Int,
		},
		"ci": {"name": String, "run": String, "url": String},
	}
}

// ImageFields returns the fields of a value of type [Image] or [Pushed].
func ImageFields(t Type) map[string]Type {
	if t == Pushed {
		return map[string]Type{"digest": String, "repository": String, "tags": List, "ref": String}
	}
	return map[string]Type{"digest": String}
}

// A Place finds the position in the file of a byte of a text that stands there.
type Place func(offset int) Pos

// A Compiler makes expressions from text. See pipeline/expr.
type Compiler interface {
	// Template compiles text that may hold expressions between "${{" and "}}".
	// It returns nil, and no error, for text that has none. Its error is an
	// [Error] or [ErrorList] with positions inside the text.
	Template(text string, at Place, names Names) (Expr, error)
	// Bare compiles text that is one expression without delimiters.
	Bare(text string, at Place, names Names) (Expr, error)
}

// Nearest returns " (did you mean …?)" with the word of known that is most like
// word, or "" if none is.
func Nearest(word string, known []string) string {
	best, dist := "", 1+max(1, len(word)/3)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// Keys returns the keys of m, sorted.
func Keys[K ~string, V any](m map[K]V) []string {
	keys := make([]string, 0, len(m))
	for k := range maps.Keys(m) {
		keys = append(keys, string(k))
	}
	slices.Sort(keys)
	return keys
}

// distance is the Damerau–Levenshtein distance with adjacent transpositions:
// the typos that people make.
func distance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	prev2, prev, cur := make([]int, len(rb)+1), make([]int, len(rb)+1), make([]int, len(rb)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(ra); i++ {
		cur[0] = i
		for j := 1; j <= len(rb); j++ {
			cost := 1
			if ra[i-1] == rb[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(rb)]
}

package report

import (
	"strings"

	"github.com/rivo/uniseg"
)

// longestSign is how many bytes one sign may have: a letter can carry any number
// of accents, and a family has seven parts.
const longestSign = 64

// cells returns how many cells of a terminal s takes: signs of East Asia and
// emoji take two, accents none.
func cells(s string) int {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return uniseg.StringWidth(s)
		}
	}
	return len(s)
}

// signs calls do with each sign of s and its cells, until do returns false.
func signs(s string, do func(sign string, cells int) bool) {
	for state := -1; s != ""; {
		var sign string
		var width int
		if sign, s, width, state = uniseg.FirstGraphemeClusterInString(s, state); !do(sign, width) {
			return
		}
	}
}

// fit returns s, or as much of its beginning as leaves a cell for a mark that
// there was more. A tab becomes spaces.
func fit(s string, width int) string {
	if width <= 0 {
		return ""
	}
	s = strings.ReplaceAll(s, "\t", "    ")
	if len(s) <= width && cells(s) == len(s) {
		return s
	}
	var b strings.Builder
	used, cut := 0, 0
	fits := true
	signs(s, func(sign string, cells int) bool {
		if len(sign) > longestSign {
			sign, cells = "\ufffd", 1
		}
		if used+cells > width {
			fits = false
			return false
		}
		b.WriteString(sign)
		if used += cells; used < width {
			cut = b.Len()
		}
		return true
	})
	if fits {
		return b.String()
	}
	return b.String()[:cut] + "…"
}

// rows returns how many rows of a terminal s takes that wraps it at width.
func rows(s string, width int) int {
	n, used := 1, 0
	signs(s, func(_ string, cells int) bool {
		if used+cells > width && used > 0 {
			n, used = n+1, 0
		}
		used += cells
		return true
	})
	return n
}

package syntax

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/pipeline"
)

// yamlCures say what to do about what the YAML library says, by a part of it.
var yamlCures = []struct{ part, cure string }{
	{"mapping values are not allowed", `quote the text: ": " in it begins a value`},
	{"cannot start any token", "indent with spaces, not tabs, and quote text that begins with @, ` or %"},
	{"did not find expected key", "indent what belongs together alike"},
	{"did not find expected ',' or", "close the bracket, or quote the text in it"},
	{"did not find expected node content", "close the bracket"},
	{"unexpected end of stream", "close the quote"},
	{"could not find expected ':'", "write key: value"},
	{"unknown anchor", "write & before the name where it is first used"},
	{"unknown escape character", `write \\ for a backslash, or use single quotes`},
}

var (
	yamlLine    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`) })
	yamlAnchor  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`unknown anchor '(.*)' referenced`) })
	secondValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`: .*?:(?: |$)`) })
)

// fault makes an error of one of the YAML library, which knows a line at best,
// and from parsing the one before.
func (s *source) fault(err error) *pipeline.Error {
	m := yamlLine().FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	line, _ := strconv.Atoi(m[1])
	msg := m[2]
	if strings.Contains(msg, "did not find expected") {
		line++
	}
	line, col := min(max(line, 1), s.last()), 1
	cure := ""
	for _, c := range yamlCures {
		if strings.Contains(msg, c.part) {
			cure = " (" + c.cure + ")"
			break
		}
	}
	text := s.lines[line-1]
	switch {
	case strings.Contains(msg, "expected ',' or"):
		if l, c := s.bare(line); l > 0 {
			line, col, cure = l, c, ` (quote the text with ${{ }}, for { and } are of YAML here: "${{ … }}")`
		}
	case strings.Contains(msg, "mapping values"):
		if at := secondValue().FindStringIndex(text); at != nil {
			col = utf8.RuneCountInString(strings.TrimRight(text[:at[1]], " "))
		}
	case strings.Contains(msg, "cannot start any token"):
		if i := strings.IndexAny(text, "\t@`%"); i >= 0 {
			col = 1 + utf8.RuneCountInString(text[:i])
		}
	case yamlAnchor().MatchString(msg):
		name := "*" + yamlAnchor().FindStringSubmatch(msg)[1]
		for i, text := range s.lines {
			if at := strings.Index(text, name); at >= 0 {
				line, col = i+1, 1+utf8.RuneCountInString(text[:at])
				break
			}
		}
	}
	return &pipeline.Error{Pos: pipeline.Pos{File: s.name, Line: line, Col: col}, Code: "bad-yaml", Err: errors.New("not YAML: " + msg + cure)}
}

// last returns the last line that has something on it.
func (s *source) last() int {
	for n := len(s.lines); n > 1; n-- {
		if strings.TrimSpace(s.lines[n-1]) != "" {
			return n
		}
	}
	return 1
}

// bare finds the first expression from line on that stands in { } or [ ] without
// quotes; line 0 if there is none.
func (s *source) bare(line int) (at, col int) {
	var quote byte
	depth := 0
	for ; line <= len(s.lines); line++ {
		text := s.lines[line-1]
		for i := range len(text) {
			switch b := text[i]; {
			case quote != 0:
				if b == quote && (i == 0 || text[i-1] != '\\') {
					quote = 0
				}
			case b == '"' || b == '\'':
				quote = b
			case depth > 0 && strings.HasPrefix(text[i:], "${{"):
				return line, 1 + utf8.RuneCountInString(text[:i])
			case b == '{' || b == '[':
				depth++
			case b == '}' || b == ']':
				depth--
			}
		}
	}
	return 0, 0
}

package report_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

// A screen is a small terminal. It wraps lines anew when its width changes, as
// tmux and most others do, and fails the test on all that it does not know: what
// the live view writes must be no more than this.
type screen struct {
	t             *testing.T
	mu            sync.Mutex // guards all below
	width, height int
	rows          []row // those above the screen, too
	y, x          int   // where the cursor is; y counts from the first of rows
	nowrap        bool
	hidden        bool               // the cursor
	styles        int                // how often a style was set
	step          func(shown string) // called after each sign and each sequence
}

// A row holds a sign in each cell; the second cell of a wide one is empty.
type row struct {
	cells   []string
	wrapped bool // the next row goes on with it
}

func newScreen(t *testing.T, width, height int) *screen {
	return &screen{t: t, width: width, height: height, rows: make([]row, 1)}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for text := string(p); text != ""; {
		n := 0
		if strings.HasPrefix(text, "\x1b[") {
			n = 2 + strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' })
			s.control(text[2:n], text[n])
			n++
		} else {
			var r rune
			r, n = utf8.DecodeRuneInString(text)
			s.sign(r)
		}
		text = text[n:]
		if s.step != nil {
			s.step(s.shown())
		}
	}
	return len(p), nil
}

func (s *screen) control(args string, what byte) {
	n, _ := strconv.Atoi(args)
	switch string(what) {
	case "A":
		s.y = max(s.y-n, s.top())
	case "G":
		s.x = min(n, s.width) - 1
	case "K":
		s.rows[s.y].cells = s.rows[s.y].cells[:min(s.x, len(s.rows[s.y].cells))]
		s.rows[s.y].wrapped = false
	case "J":
		s.control("", 'K')
		s.rows = s.rows[:s.y+1]
	case "m":
		s.styles++
	case "h", "l":
		switch args {
		case "?7":
			s.nowrap = what == 'l'
		case "?25":
			s.hidden = what == 'l'
		default:
			s.t.Errorf("mode %q was set", args)
		}
	default:
		s.t.Errorf("sequence %q%c was written", args, what)
	}
}

func (s *screen) sign(r rune) {
	wide := 1
	switch {
	case r == '\n':
		s.x, s.y = 0, s.y+1
		if s.y == len(s.rows) {
			s.rows = append(s.rows, row{})
		}
		return
	case r == '\r':
		s.x = 0
		return
	case unicode.IsControl(r):
		s.t.Errorf("%q was written", r)
	case unicode.In(r, unicode.Mn, unicode.Cf):
		wide = 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Katakana, unicode.Hiragana) || r >= 0x1f300 && r < 0x1fb00:
		wide = 2
	}
	if s.x+wide > s.width {
		if s.nowrap {
			s.x = s.width - wide
		} else {
			s.rows[s.y].wrapped = true
			s.sign('\n')
		}
	}
	cells := &s.rows[s.y].cells
	if wide == 0 {
		(*cells)[s.x-1] += string(r)
		return
	}
	for len(*cells) < s.x+wide {
		*cells = append(*cells, " ")
	}
	(*cells)[s.x] = string(r)
	for i := 1; i < wide; i++ {
		(*cells)[s.x+i] = ""
	}
	s.x += wide
}

// top returns the first row that is on the screen.
func (s *screen) top() int { return max(0, len(s.rows)-s.height) }

// resize wraps all lines anew. The cursor stays where it was in the text.
func (s *screen) resize(width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, y := s.rows, s.y
	s.rows, s.width, s.height = nil, width, height
	var line []string
	for i, r := range old {
		if i == y { // the view leaves the cursor at the beginning of a line
			s.y = len(s.rows)
		}
		if line = append(line, r.cells...); r.wrapped {
			continue
		}
		for {
			n := min(width, len(line))
			if n < len(line) && line[n] == "" { // half of a wide sign
				n--
			}
			s.rows = append(s.rows, row{cells: slices.Clone(line[:n]), wrapped: n < len(line)})
			if line = line[n:]; len(line) == 0 {
				break
			}
		}
	}
}

// size is what a program would ask for.
func (s *screen) size() (width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.width, s.height
}

// each has do called with what is to be seen after each sign that is written.
func (s *screen) each(do func(shown string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step = do
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown()
}

// shown returns what is to be seen.
func (s *screen) shown() string {
	var lines []string
	for _, r := range s.rows[s.top():] {
		lines = append(lines, strings.TrimRight(strings.Join(r.cells, ""), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

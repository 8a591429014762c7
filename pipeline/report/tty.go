package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
)

// How many cells a text must keep beside what stands at the right.
const (
	roomy  = 24 // beside an amount
	narrow = 12 // beside a time
)

// redraw is how often the live view of a terminal is drawn, whatever happens in
// between.
const redraw = 100 * time.Millisecond

// TTY returns a sink for a terminal: the whole run in one view, which looks like
// BuildKit's and is drawn anew ten times a second. When the run has ended, it
// stays as its last words. Size is asked for each time, for people resize their
// windows; what it does not know is zero. Without colour there are none.
func TTY(w io.Writer, size func() (width, height int), colour bool) pipeline.Sink {
	t := &terminal{w: w, colour: colour}
	t.size = func() (int, int) {
		width, height := size()
		if width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}
	return t.event
}

type terminal struct {
	w      io.Writer
	size   func() (width, height int)
	colour bool

	mu    sync.Mutex
	live  live
	timer *time.Timer // runs while the run does
	drawn []string    // what stands on the screen above the cursor, line by line
}

func (t *terminal) event(ev pipeline.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live.event(ev)
	switch {
	case t.live.status != "":
		if t.timer != nil {
			t.timer.Stop()
		}
		width, height := t.size()
		t.draw(width, t.live.last(height-1))
	case t.timer == nil:
		t.timer = time.AfterFunc(redraw, t.tick)
	}
}

func (t *terminal) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live.status != "" {
		return
	}
	width, height := t.size()
	t.draw(width, t.live.frame(height-1))
	t.timer.Reset(redraw)
}

// A line is one line of the view.
type line struct {
	left   string // is cut where it does not fit
	amount string // is left out where it does not fit
	right  string
	style  string // of SGR, such as 31
}

// draw replaces what is on the screen by lines. Each is written over what was
// there, and nothing is cleared before, so that nothing flickers. The terminal
// must not wrap lines by itself: what it thinks of the width of a sign may
// differ from what we think. Where it has become narrower since, it has wrapped
// what was there, as most terminals do.
func (t *terminal) draw(width int, lines []line) {
	var b strings.Builder
	b.WriteString("\x1b[?25l\x1b[?7l\r") // no cursor, no wrapping
	up := 0
	for _, s := range t.drawn {
		up += rows(s, width)
	}
	if up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	t.drawn = t.drawn[:0]
	for _, l := range lines {
		room, right := width-1, l.right // the last cell has its own ways of wrapping
		if l.amount != "" && room-cells(l.amount)-cells(right) >= roomy {
			right = l.amount + " " + right
		}
		if right != "" {
			room -= cells(right) + 1
		}
		if room < narrow {
			room, right = width-1, ""
		}
		left := fit(l.left, room)
		plain := left
		if t.colour && l.style != "" {
			left = "\x1b[" + l.style + "m" + left + "\x1b[0m"
		}
		b.WriteString(left + "\x1b[K") // and nothing to the right of it
		if right != "" {
			plain += strings.Repeat(" ", room+1-cells(plain)) + right
			fmt.Fprintf(&b, "\x1b[%dG%s", room+2, right) // to a column: see above
		}
		b.WriteString("\n")
		t.drawn = append(t.drawn, plain)
	}
	b.WriteString("\x1b[J\x1b[?7h\x1b[?25h")
	_, _ = io.WriteString(t.w, b.String())
}

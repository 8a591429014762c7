package report_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// begin starts a run on s, below a prompt.
func begin(s *screen, colour bool, steps int) pipeline.Sink {
	_, _ = io.WriteString(s, "$ slipway run\n")
	sink := report.TTY(s, s.size, colour)
	sink(pipeline.Event{Type: pipeline.EventStart, Text: "shop", Total: int64(steps)})
	return sink
}

// run tells a run that is in the middle of things.
func run(sink pipeline.Sink) {
	sink(pipeline.Event{Type: pipeline.EventFinish, Step: "lint", Status: pipeline.StatusReused, Text: "nothing to do"})
	sink(pipeline.Event{Type: pipeline.EventStart, Step: "api"})
	sink(pipeline.Event{Type: pipeline.EventTask, Step: "api", Task: "[1/3] FROM scratch", Status: pipeline.StatusReused})
	sink(pipeline.Event{Type: pipeline.EventTask, Step: "api", Task: "[2/3] COPY . /", Status: pipeline.StatusOK, Elapsed: 1500 * time.Millisecond})
	sink(pipeline.Event{Type: pipeline.EventTask, Step: "api", Task: "[3/3] RUN make all install " + strings.Repeat("and more ", 10)})
	for i := range 9 {
		sink(pipeline.Event{Type: pipeline.EventLog, Step: "api", Task: "[3/3] RUN make all install " + strings.Repeat("and more ", 10), Text: fmt.Sprintf("コンパイル %d 🚀", i)})
	}
	sink(pipeline.Event{Type: pipeline.EventStart, Step: "base"})
	sink(pipeline.Event{Type: pipeline.EventProgress, Step: "base", Task: "sha256:0123", Done: 1 << 20, Total: 5 << 20})
}

// wait lets time go by, and what was due happen.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func expect(t *testing.T, s *screen, want string) {
	t.Helper()
	if got := s.String(); got != strings.Trim(want, "\n") {
		t.Errorf("the screen of %d × %d shows:\n%s\nwant:\n%s", s.width, s.height, got, strings.Trim(want, "\n"))
	}
	if s.hidden || s.nowrap {
		t.Error("the cursor is left hidden, or lines are not wrapped any more")
	}
}

// TestTTY shows one moment of a run on terminals of several sizes: what runs
// comes before what is done, and each part that runs shows some of its log.
func TestTTY(t *testing.T) {
	for _, tt := range []struct {
		width, height int
		want          string
	}{
		{60, 20, `
$ slipway run
[+] Running shop 2.0s (1/4)
 => CACHED lint  nothing to do                         0.0s
 => api                                                2.0s
 => => CACHED [1/3] FROM scratch                       0.0s
 => => [2/3] COPY . /                                  1.5s
 => => [3/3] RUN make all install and more and more a… 2.0s
 => => # コンパイル 3 🚀
 => => # コンパイル 4 🚀
 => => # コンパイル 5 🚀
 => => # コンパイル 6 🚀
 => => # コンパイル 7 🚀
 => => # コンパイル 8 🚀
 => base                                               2.0s
 => => sha256:0123                   1.0 MiB / 5.0 MiB 2.0s
`}, {28, 8, `
[+] Running shop 2.0s (1/4)
 => api                2.0s
 => => [3/3] RUN make… 2.0s
 => => # コンパイル 7 🚀
 => => # コンパイル 8 🚀
 => base               2.0s
 => => sha256:0123     2.0s
`}, {12, 4, `
[+] Runnin…
 => api
 => base
`}, {1, 1, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScreen(t, tt.width, tt.height)
			sink := begin(s, false, 4)
			run(sink)
			wait(2*time.Second + redraw/2)
			expect(t, s, tt.want)
			if s.styles > 0 {
				t.Error("there are colours that nobody asked for")
			}
		})
	}
}

// TestTTYResized makes the terminal narrower and wider while a run goes on, and
// draws again: there is one view, of the new width, and what was above it stays.
func TestTTYResized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, 70, 200)
		run(begin(s, true, 4))
		wait(redraw * 3 / 2) // between two views
		for _, width := range []int{69, 34, 17, 33, 110, 9, 50} {
			s.resize(width, 200)
			wait(time.Second)
			screen := s.String()
			if n := strings.Count(screen, "[+] R"); n != 1 {
				t.Fatalf("%d views of a terminal that is %d wide:\n%s", n, width, screen)
			}
			if flat := strings.ReplaceAll(screen, "\n", ""); !strings.HasPrefix(flat, "$ slipway run[+] R") {
				t.Errorf("the prompt is gone from a terminal that is %d wide:\n%s", width, screen)
			}
			for _, l := range s.rows[len(s.rows)-14:] {
				if len(l.cells) >= width || l.wrapped {
					t.Errorf("at %d, this is too wide: %q", width, l.cells)
				}
			}
		}
	})
}

// TestTTYFlickers takes the screen after each sign that is written: from one
// view to the next the heading and what runs are always there.
func TestTTYFlickers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, 60, 12)
		run(begin(s, true, 4))
		wait(redraw * 3 / 2)
		broken := false
		s.each(func(screen string) {
			if !broken && (!strings.Contains(screen, "[+] Running shop") || !strings.Contains(screen, " => api") || !strings.Contains(screen, " => => # コン")) {
				broken = true
				t.Errorf("for a moment the screen shows:\n%s", screen)
			}
		})
		wait(time.Second)
	})
}

// TestTTYHostile runs what builds, clusters and pipelines may say: the screen
// fails on every sequence that the view does not write by itself.
func TestTTYHostile(t *testing.T) {
	const evil = "a\x1b[2J\x1b]0;owned\x07\u202eb\r\n\x9b31m\tc\x1b[1;1H\xff\x00\u009b2J"
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, 60, 20)
		sink := begin(s, false, 1)
		for _, kind := range []pipeline.EventType{pipeline.EventStart, pipeline.EventTask, pipeline.EventLog, pipeline.EventNote, pipeline.EventRetry, pipeline.EventWarning, pipeline.EventVerdict, pipeline.EventOutput, pipeline.EventTest, pipeline.EventProgress, pipeline.EventTask, pipeline.EventLog} {
			for _, task := range []string{"", evil, "z" + strings.Repeat("\u0301", 100_000)} {
				sink(pipeline.Event{Type: kind, Step: "s" + evil, Task: task, Text: evil, File: evil, Status: pipeline.StatusFailed})
				wait(redraw)
			}
		}
		sink(pipeline.Event{Type: pipeline.EventFinish, Step: "s" + evil, Status: pipeline.StatusOK, Text: "z" + strings.Repeat("\u0301", 100_000)})
		sink(pipeline.Event{Type: pipeline.EventFinish, Status: pipeline.StatusOK})
		for _, l := range strings.Split(s.String(), "\n") {
			if len(l) > 400 {
				t.Errorf("a line of %d bytes is on the screen", len(l))
			}
		}
	})
}

// redraw is how often the view is drawn.
const redraw = 100 * time.Millisecond

// counted counts what is written.
type counted struct {
	io.Writer
	n, lines int
}

func (w *counted) Write(p []byte) (int, error) {
	w.n++
	w.lines = max(w.lines, strings.Count(string(p), "\n"))
	return w.Writer.Write(p)
}

// TestTTYCrowd runs three thousand stages at once, each with a log: however much
// happens, there are ten views a second, and none is higher than the terminal.
func TestTTYCrowd(t *testing.T) {
	const stages, lines = 3000, 50
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, 60, 10)
		w := &counted{Writer: s}
		sink := report.TTY(w, s.size, false)
		sink(pipeline.Event{Type: pipeline.EventStart, Text: "crowd", Total: stages})
		began := time.Now()
		id := func(i int) pipeline.ID { return pipeline.ID(fmt.Sprintf("s%d", i)) }
		for i := range stages {
			sink(pipeline.Event{Type: pipeline.EventStart, Step: id(i)})
		}
		for n := range lines {
			for i := range stages {
				sink(pipeline.Event{Type: pipeline.EventLog, Step: id(i), Task: "RUN", Text: fmt.Sprint(n)})
			}
			wait(redraw / 10)
		}
		wait(redraw / 2)
		expect(t, s, `
[+] Running crowd 0.5s (0/3000)
 => s0                                                 0.5s
 => s1                                                 0.5s
 => s2                                                 0.5s
 => s3                                                 0.5s
 => s4                                                 0.5s
 => s5                                                 0.5s
 => s6                                                 0.5s
 => … and 2993 more
`)
		if most := int(time.Since(began)/redraw) + 1; w.n > most {
			t.Errorf("%d views were drawn of %d events, want at most %d", w.n, stages*(lines+1), most)
		}
		for i := range stages {
			sink(pipeline.Event{Type: pipeline.EventFinish, Step: id(i), Status: pipeline.StatusOK})
		}
		sink(pipeline.Event{Type: pipeline.EventFinish, Status: pipeline.StatusOK})
		if w.lines > 9 {
			t.Errorf("a view has %d lines on a terminal of 10", w.lines)
		}
		drawn := w.n
		wait(time.Minute)
		if w.n != drawn {
			t.Error("a view is drawn after the end")
		}
	})
}

// TestTTYLast ends runs. A green one shows all it did; of one that failed there is
// what failed, for causes and cures are written below it.
func TestTTYLast(t *testing.T) {
	end := func(t *testing.T, status pipeline.Status, colour bool) *screen {
		s := newScreen(t, 60, 24)
		synctest.Test(t, func(t *testing.T) {
			sink := begin(s, colour, 4)
			run(sink)
			wait(time.Second)
			sink(pipeline.Event{Type: pipeline.EventWarning, Step: "api", Text: "use JSON", File: "Dockerfile", Line: 3})
			if status == pipeline.StatusFailed {
				sink(pipeline.Event{Type: pipeline.EventTask, Step: "base", Task: "RUN false", Status: status, Text: "exit code: 1\nand more", Elapsed: time.Second})
			}
			sink(pipeline.Event{Type: pipeline.EventFinish, Step: "base", Status: status, Text: "it failed", Elapsed: time.Second})
			sink(pipeline.Event{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusOK, Elapsed: 100 * time.Second})
			if status == pipeline.StatusFailed {
				sink(pipeline.Event{Type: pipeline.EventFinish, Step: "ship", Status: pipeline.StatusSkipped, Text: "base failed"})
			}
			sink(pipeline.Event{Type: pipeline.EventFinish, Status: status, Elapsed: 100 * time.Second})
			_, _ = io.WriteString(s, "what is written after it\n")
		})
		return s
	}
	expect(t, end(t, pipeline.StatusFailed, false), `
$ slipway run
[+] Running shop 1m40s (4/4) FAILED
 => ERROR base                                         1.0s
 => => ERROR RUN false                                 1.0s
 => 1 ok, 1 reused, 1 skipped, 1 warning
what is written after it
`)
	expect(t, end(t, pipeline.StatusOK, false), `
$ slipway run
[+] Running shop 1m40s (3/4) FINISHED
 => CACHED lint  nothing to do                         0.0s
 => api                                               1m40s
 => => CACHED [1/3] FROM scratch                       0.0s
 => => [2/3] COPY . /                                  1.5s
 => => [3/3] RUN make all install and more and more a… 1.0s
 => base  it failed                                    1.0s
 => => sha256:0123                                     1.0s
 => WARN: api: Dockerfile:3: use JSON
what is written after it
`)
	if s := end(t, pipeline.StatusOK, true); s.styles == 0 {
		t.Error("there are no colours")
	}
}

package report_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// writes keeps each write, and may fail.
type writes struct {
	mu  sync.Mutex
	got []string
	err error
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, string(p))
	return len(p), w.err
}

func (w *writes) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

func (w *writes) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writes{}
		b := &report.Batch{W: w}
		write := func(s string) {
			t.Helper()
			if n, err := b.Write([]byte(s)); n != len(s) || err != nil {
				t.Fatal(n, err)
			}
		}
		write("one ")
		write("two")
		if got := w.seen(); len(got) > 0 {
			t.Errorf("written at once: %q", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		write(strings.Repeat("x", 64<<10))
		write("last")
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if want := []string{"one two", strings.Repeat("x", 64<<10), "last"}; !slices.Equal(w.seen(), want) {
			t.Errorf("%d writes, want three", len(w.seen()))
		}
		full := errors.New("no space left")
		w.fail(full)
		write("lost")
		time.Sleep(time.Second)
		synctest.Wait()
		if _, err := b.Write([]byte("more")); !errors.Is(err, full) {
			t.Errorf("the error of an earlier write: got %v", err)
		}
		if err := b.Flush(); !errors.Is(err, full) {
			t.Errorf("flush: got %v", err)
		}
	})
}

// TestLogsAreGathered writes as many lines as a build does, and what comes after
// them at once.
func TestLogsAreGathered(t *testing.T) {
	w := &writes{}
	sink := report.Plain(w)
	for range 10_000 {
		sink(pipeline.Event{Type: pipeline.EventLog, Step: "api", Text: "compiling"})
	}
	sink(pipeline.Event{Type: pipeline.EventNote, Step: "api", Text: "done"})
	text := strings.Join(w.seen(), "")
	if want := strings.Repeat("api | compiling\n", 10_000) + "api: done\n"; text != want {
		t.Errorf("%d bytes, want %d", len(text), len(want))
	}
	if n := len(w.seen()); n > 100 {
		t.Errorf("%d writes", n)
	}
}

// TestLinesAtOnce compares what is shown of lines that come at once and one by one.
func TestLinesAtOnce(t *testing.T) {
	lines := []string{
		"first", "", "with hunter2-two in it", "hun\x1b[0mter2-two", "\x1b]0;title", "an escape that does not end \x1b[", "hunter2-",
		"two", "tab\there", "return\r", "\rover", "\u202eturned", "\xff\xfe", "##[error]no", "::error::no", "ende ✓", "",
	}
	for name, open := range map[string]func(io.Writer) pipeline.Sink{"plain": report.Plain, "rawjson": report.JSON} {
		shown := func(texts ...string) string {
			var b bytes.Buffer
			sink := report.Mask(open(&b), "hunter2-two")
			for _, text := range texts {
				sink(pipeline.Event{Type: pipeline.EventLog, Step: "api", Task: "RUN", Text: text})
			}
			sink(pipeline.Event{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusOK})
			return b.String()
		}
		want := shown(lines...)
		if strings.Count(want, "\n") != len(lines)+1 || strings.Contains(want, "hunter2-two") {
			t.Fatalf("%s: %s", name, want)
		}
		for at := range lines {
			if got := shown(strings.Join(lines[:at+1], "\n"), strings.Join(append([]string{"x"}, lines[at+1:]...), "\n")); got != shown(slices.Insert(slices.Clone(lines), at+1, "x")...) {
				t.Errorf("%s, %d and %d lines at once: got\n%s", name, at+1, len(lines)-at, got)
			}
		}
	}
}

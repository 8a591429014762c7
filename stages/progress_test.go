package stages

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// TestLogLines lets a log come in any two parts: no line is cut, and none is lost.
func TestLogLines(t *testing.T) {
	const log = "one\ntwo\r\n\nfour and some\r\n\r\nsix\r\r\nlast\r"
	want := []string{"one", "two", "", "four and some", "", "six", "last"}
	for cut := range len(log) + 1 {
		var got []string
		watch := progress(&pipeline.Env{Sink: func(ev pipeline.Event) {
			if ev.Type == pipeline.EventLog {
				for line := range strings.SplitSeq(ev.Text, "\n") {
					got = append(got, strings.TrimRight(line, "\r"))
				}
			}
		}})
		for _, part := range []string{log[:cut], log[cut:]} {
			watch(buildkit.Progress{Vertex: "v", Log: part})
		}
		watch(buildkit.Progress{Vertex: "v", Completed: time.Now()})
		if !slices.Equal(got, want) {
			t.Errorf("cut at %d: got %q", cut, got)
		}
	}
}

// TestEndlessLine looks at how much is held of a line that does not end.
func TestEndlessLine(t *testing.T) {
	var got []int
	watch := progress(&pipeline.Env{Sink: func(ev pipeline.Event) {
		if ev.Type == pipeline.EventLog {
			for line := range strings.SplitSeq(ev.Text, "\n") {
				got = append(got, len(line))
			}
		}
	}})
	mib := strings.Repeat("x", 1<<20)
	for range 20 {
		watch(buildkit.Progress{Vertex: "v", Log: mib})
	}
	watch(buildkit.Progress{Vertex: "v", Log: "y\nshort\nbegun"})
	watch(buildkit.Progress{Vertex: "v", Completed: time.Now()})
	if want := []int{longestLine, 5, 5}; !slices.Equal(got, want) {
		t.Error(fmt.Sprint(got), "want", want)
	}
}

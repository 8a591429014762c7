package github_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/github"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// secrets are hidden in all of these tests.
var secrets = []string{"hunter2-two", `"q&uo'te<d>+/ p%5"`, "first-part&+xpart2&part3", "-----BEGIN KEY-----\nbm90IGEga2V5IQ==\n-----END KEY-----\n"}

// corpus are lines that a build may print to harm who reads them.
func corpus() []string {
	var lines []string
	commands := []string{"::error::owned", "::add-mask::e", "::set-env name=PATH::/evil", "::stop-commands::x", "::endgroup::", "##[error]owned", "##[add-path]/evil", "##[set-env name=A;]b", "::SLIPWAY-GUESS::", "::debug::"}
	for _, c := range commands {
		for _, f := range []string{
			"%s", " %s", "\t%s", "text %s", "text\r%s", "text\n%s", "text\r\n%s", "text\x0b%s", "text\x0c%s", "\x00%s", "\u0085%s", "\u2028%s", "\u00a0%s",
			"\x1b[31m%s\x1b[0m", "\x1b]0;%s\x07", "\x1b]0;\x07%s", "\x1b]8;;%s\x1b\\", "\x1bP%s\x1b\\", "\x9b31m%s", "\u009b31m%s", "\x1b[%s", "\x1b%s", "\x1b(B%s",
			"\u202e%s\u202c", "\u2066%s\u2069", "\u200b%s", "\ufeff%s", "\u00ad%s", "\xff%s", "\xe2\x82%s", "%s\x1b",
		} {
			lines = append(lines, fmt.Sprintf(f, c))
		}
		for i := range len(c) { // something inside of the command that may be taken out again
			for _, in := range []string{"\x1b[0m", "\u200b", "\u00ad", "\r", "\x00", "\u202e", "\xff", "\u0301"} {
				lines = append(lines, c[:i]+in+c[i:])
			}
		}
	}
	return append(lines, "####[[error]owned", "##[##[error]x]", strings.Repeat("##[", 50)+"error]", strings.Repeat("::", 1000))
}

// written returns what a run writes whose step prints lines.
func written(lines ...string) []byte {
	var b bytes.Buffer
	sink := report.Mask(github.Log(&b), secrets...)
	sink(pipeline.Event{Type: pipeline.EventStart, Step: "api"})
	sink(pipeline.Event{Type: pipeline.EventStart, Step: "web"})
	for i, l := range lines {
		step := pipeline.ID([]string{"api", "web"}[i%2])
		sink(pipeline.Event{Type: pipeline.EventLog, Step: step, Task: l, Text: l})
		sink(pipeline.Event{Type: pipeline.EventTask, Step: step, Task: l, Status: pipeline.StatusFailed, Text: l})
		sink(pipeline.Event{Type: pipeline.EventNote, Step: step, Text: l})
		sink(pipeline.Event{Type: pipeline.EventWarning, Text: l})
	}
	sink(pipeline.Event{Type: pipeline.EventFinish, Step: "web", Status: pipeline.StatusOK})
	sink(pipeline.Event{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusSkipped, Text: strings.Join(lines, "\n")[:min(1000, len(strings.Join(lines, "\n")))]})
	return b.Bytes()
}

// check reports what got through to the runner or to a terminal.
func check(t *testing.T, out []byte, allowed ...string) *runner {
	t.Helper()
	var r runner
	r.read(out)
	for _, c := range r.commands {
		if c.old || !slices.Contains(allowed, c.name) && len(c.name) != 32 {
			t.Errorf("the runner obeyed %+.200v", c)
		}
	}
	if r.stopped != "" {
		t.Errorf("the runner still waits for %q", r.stopped)
	}
	if !utf8.Valid(out) {
		t.Error("output is not UTF-8")
	}
	for _, c := range string(out) {
		if unicode.IsControl(c) && c != '\n' && c != '\t' || unicode.Is(unicode.Bidi_Control, c) || c == '\u2028' || c == '\u2029' {
			t.Fatalf("a terminal gets %q", c)
		}
	}
	return &r
}

func TestHostileLog(t *testing.T) {
	r := check(t, written(corpus()...), "group", "endgroup", "stop-commands")
	for i, c := range r.commands {
		if c.name == "group" && (i+3 >= len(r.commands) || r.commands[i+1].name != "stop-commands" || r.commands[i+2].name != r.commands[i+1].data || r.commands[i+3].name != "endgroup") {
			t.Fatalf("a group is not fenced: %+v", r.commands[i:min(len(r.commands), i+4)])
		}
	}
	for _, l := range corpus() { // without the fence, too
		if c, ok := parseOld(github.Defuse(l)); ok {
			t.Errorf("%.80q: %+v", l, c)
		}
		if c, ok := parse(github.Defuse(report.Tame(l))); ok {
			t.Errorf("%.80q: %+v", l, c)
		}
		line := report.Tame(l) + "\n"
		var whole, bytewise bytes.Buffer
		_, _ = github.Guard(&whole).Write([]byte(line))
		w := github.Guard(&bytewise)
		for i := range len(line) { // what came in parts is no less looked at
			_, _ = w.Write([]byte{line[i]})
		}
		check(t, whole.Bytes())
		if bytewise.String() != whole.String() {
			t.Errorf("%.80q is %.80q in parts, and %.80q at once", l, &bytewise, &whole)
		}
	}
}

func TestLongLine(t *testing.T) {
	var b bytes.Buffer
	sink := report.Mask(github.Log(&b), secrets...)
	sink(pipeline.Event{Type: pipeline.EventLog, Step: "api", Text: strings.Repeat("x", 10<<20) + "::error::owned##[error]" + secrets[0]})
	sink(pipeline.Event{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusOK})
	check(t, b.Bytes(), "group", "endgroup", "stop-commands")
	if want := "x::error::owned## [error]***\n"; !strings.Contains(b.String(), want) || b.Len() < 10<<20 {
		t.Errorf("want %q at the end of %d bytes", want, b.Len())
	}
}

// TestHarmless checks that what harms nobody is not changed by a byte.
func TestHarmless(t *testing.T) {
	lines := []string{
		"plain", "tab\tin it", "  indented", "ünïcödé 日本 👩‍🚀 ✓", "a::b::c", "std::vector<int>::iterator", "# heading", "## [not]", "#[x] ##x[",
		"100% %0A %25", "café\u0301", "\ufffd", "<script>alert(1)</script>", "http://[::1]:80/", "$(x) `y` \\n", "*** FAIL", "soft\u00adhyphen",
	}
	out := string(written(lines...))
	for _, l := range lines {
		if !strings.Contains(out, " | "+l+"\n") {
			t.Errorf("%q was changed", l)
		}
		if got := github.Defuse(l); got != l {
			t.Errorf("%q → %q", l, got)
		}
	}
}

// TestSecrets checks that the runner's own masker, which knows every encoding,
// would have nothing left to do.
func TestSecrets(t *testing.T) {
	var masks bytes.Buffer
	github.Masks(&masks, append(secrets, "", "abc")...)
	var r runner
	r.read(masks.Bytes())
	if names := r.names(); !slices.Equal(names, []string{"add-mask"}) || len(r.commands) != len(secrets) {
		t.Fatalf("got %+v", r.commands)
	}
	for _, word := range r.masks {
		if len(word) < report.Shortest {
			continue
		}
		if out := string(written("before " + word + " after")); strings.Contains(out, word) {
			t.Errorf("%q is still in %q", word, out)
		}
		for cut := range len(word) {
			var b bytes.Buffer
			w := report.MaskWriter(&b, secrets...)
			_, _ = w.Write([]byte("x " + word[:cut]))
			_, _ = w.Write([]byte(word[cut:] + " y\n"))
			if strings.Contains(b.String(), word) || !strings.HasSuffix(b.String(), " y\n") {
				t.Errorf("%q cut at %d is still in %q", word, cut, &b)
			}
		}
	}
}

func TestAnnotations(t *testing.T) {
	dir := t.TempDir()
	a := &github.Annotations{Workspace: dir, Dir: filepath.Join(dir, "sub")}
	for i := range 12 {
		a.Sink(pipeline.Event{Type: pipeline.EventWarning, Step: "api", File: "Dockerfile", Line: i + 1, Text: "old"})
		a.Sink(pipeline.Event{Type: pipeline.EventWarning, Step: "api", File: "Dockerfile", Line: i + 1, Text: "old"})
	}
	a.Sink(pipeline.Event{Type: pipeline.EventFinish, Step: "web", Status: pipeline.StatusFailed})
	a.Sink(pipeline.Event{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusFailed})
	var list pipeline.ErrorList
	hostile := corpus()
	for i := range 30 {
		list.Add(pipeline.Pos{File: "f,:%.yaml", Line: i + 1, Col: 1}, "api", "failed", errors.New(strings.Join(hostile, "\n")))
	}
	list.Add(pipeline.Pos{File: "z.yaml", Line: 7, Col: 3}, "web", "crash-loop", errors.New("exit code 1\n| 50% done: a,b"))
	var b bytes.Buffer
	a.Write(&b, list.Err())
	r := check(t, b.Bytes(), "error", "warning")
	if len(r.commands) != 20 {
		t.Fatalf("%d annotations, want 20", len(r.commands))
	}
	first := r.commands[0]
	if first.properties["file"] != "sub/z.yaml" || first.properties["line"] != "7" || first.properties["title"] != "stage web: crash-loop" || first.data != "exit code 1\n| 50% done: a,b" {
		t.Errorf("the first that failed is not first: %+v", first)
	}
	if r.commands[1].properties["file"] != "sub/f,:%.yaml" {
		t.Errorf("got %+v", r.commands[1].properties)
	}
	if want := "22 errors more"; !strings.HasPrefix(r.commands[9].data, want) {
		t.Errorf("got %q, want %s", r.commands[9].data, want)
	}
	if want := "3 warnings more"; !strings.HasPrefix(r.commands[19].data, want) {
		t.Errorf("got %q, want %s", r.commands[19].data, want)
	}
}

func TestOutputs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	want := map[string]string{"digest": "sha256:1", "multi": "a\nslipway-\nEOF\nghadelimiter_1\nevil<<x\n", "empty": "", "eq": "a=b", "owned": "x\nslipway-00000000000000000000000000000000\nPATH=/evil"}
	if err := github.Outputs(file, want); err != nil {
		t.Fatal(err)
	}
	if err := github.Outputs(file, map[string]string{"a=b": ""}); err == nil {
		t.Error("a name with = was taken")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := outputs(string(text))
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s: got %q, want %q", name, got[name], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %q", got)
	}
}

func FuzzLog(f *testing.F) {
	for i, l := range corpus() {
		if i%20 == 0 && len(l) < 1000 {
			f.Add(l)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		check(t, written(s, s), "group", "endgroup", "stop-commands")
		line := github.Defuse(report.Tame(s))
		if _, ok := parseOld(line); ok {
			t.Errorf("%q → %q", s, line)
		}
		if _, ok := parse(line); ok {
			t.Errorf("%q → %q", s, line)
		}
	})
}

// TestLinesAtOnce compares what the runner reads of lines that come at once and one by
// one, of a step that is on the air and of one that waits.
func TestLinesAtOnce(t *testing.T) {
	fence := regexp.MustCompile(`[0-9a-f]{32}`)
	for _, step := range []pipeline.ID{"api", "web"} {
		shown := func(texts ...string) string {
			var b bytes.Buffer
			sink := report.Mask(github.Log(&b), secrets...)
			sink(pipeline.Event{Type: pipeline.EventStart, Step: "api"})
			sink(pipeline.Event{Type: pipeline.EventStart, Step: "web"})
			for _, text := range texts {
				sink(pipeline.Event{Type: pipeline.EventLog, Step: step, Text: text})
			}
			sink(pipeline.Event{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusOK})
			sink(pipeline.Event{Type: pipeline.EventFinish, Step: "web", Status: pipeline.StatusOK})
			check(t, b.Bytes(), "group", "endgroup", "stop-commands")
			return fence.ReplaceAllString(b.String(), "FENCE")
		}
		var lines []string // some of the corpus
		for i, l := range corpus() {
			if i%7 == 0 {
				lines = append(lines, strings.ReplaceAll(l, "\n", ""))
			}
		}
		if got, want := shown(strings.Join(lines, "\n")), shown(lines...); got != want {
			t.Errorf("%s, at once:\n%.3000s\none by one:\n%.3000s", step, got, want)
		}
	}
}

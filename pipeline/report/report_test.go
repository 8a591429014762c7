package report_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

func TestTame(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"harmless", "plain ✓ äöü 日本", "plain ✓ äöü 日本"},
		{"colour", "\x1b[31mred\x1b[0m", "red"},
		{"title", "\x1b]0;owned\x07text", "text"},
		{"title, ST", "\x1b]0;owned\x1b\\text", "text"},
		{"not ended", "a\x1b]0;owned", "a"},
		{"cursor", "50%\r100%\x08", "50% 100%"},
		{"tab", "a\tb", "a\tb"},
		{"lines", "a\nb\r\nc\r", "a b c"},
		{"replacement", "a\ufffdb", "a\ufffdb"},
		{"character set", "a\x1b(B\x1b[mb", "ab"},
		{"sequence in C1", "a\u009b31mb\u009d0;owned\u009cc", "abc"},
		{"broken sequence", "a\x1b[3\x1b[1mb", "ab"},
		{"bidi", "a\u202eb\u2066c", "abc"},
		{"line separator", "a\u2028b", "ab"},
		{"C1", "a\u0085b", "ab"},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"lone escape", "a\x1b", "a"},
	} {
		if got := report.Tame(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzTame(f *testing.F) {
	f.Add("a\x1b[31mb\u202e\xff\x1b]0;x")
	f.Fuzz(func(t *testing.T, s string) {
		wild := func(r rune) bool {
			return unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029
		}
		got := report.Tame(s)
		if i := strings.IndexFunc(got, wild); i >= 0 || !utf8.ValidString(got) {
			t.Errorf("%q → %q is still wild", s, got)
		}
		if utf8.ValidString(s) && strings.IndexFunc(s, wild) < 0 && got != s {
			t.Errorf("%q harms nobody, and became %q", s, got)
		}
		if again := report.Tame(got); again != got {
			t.Errorf("%q → %q → %q", s, got, again)
		}
	})
}

func TestErrors(t *testing.T) {
	var list pipeline.ErrorList
	list.Add(pipeline.Pos{File: "f.yaml", Line: 2, Col: 3}, "api", "x", errors.New("second"))
	list.Add(pipeline.Pos{File: "f.yaml", Line: 1, Col: 2}, "", "x", errors.New("first"))
	var b bytes.Buffer
	report.Errors(&b, list.Err(), func(string) []byte { return []byte("äöü\n\ttabbed\x1b[31m\n") })
	want := "f.yaml:1:2: first\n      1 | äöü\n        |  ^\n" +
		"f.yaml:2:3: stage api: second\n      2 | \ttabbed\n        | \t ^\n2 errors\n"
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &b, want)
	}
}

func TestPlain(t *testing.T) {
	var b bytes.Buffer
	sink := report.Plain(&b)
	for _, ev := range []pipeline.Event{
		{Type: pipeline.EventStart, Step: "api"},
		{Type: pipeline.EventWarning, Step: "api", Text: "old", File: "Dockerfile", Line: 3},
		{Type: pipeline.EventRetry, Step: "api", Text: "no", Done: 1, Total: 2},
		{Type: pipeline.EventVerdict, Step: "api", Text: "web  proven"},
		{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusSkipped, Text: "its if is false", Elapsed: 1500 * time.Millisecond},
		{Type: pipeline.EventProgress, Step: "api", Done: 1},
	} {
		sink(ev)
	}
	want := "api: begins\napi: warning: Dockerfile:3: old\napi: attempt 1 of 3 failed, once more: no\napi: skipped in 1.5s (its if is false)\n"
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &b, want)
	}
}

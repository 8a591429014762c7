package report_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

func TestMask(t *testing.T) {
	mask := func(text string, secrets ...string) string {
		var got pipeline.Event
		report.Mask(func(ev pipeline.Event) { got = ev }, secrets...)(pipeline.Event{Text: text})
		return got.Text
	}
	for _, tt := range []struct{ name, in, want string }{
		{"as it is", "pw=hunter2-two!", "pw=***!"},
		{"lines of it", "line one, line two", "***, ***"},
		{"sequence inside", "hun\x1b[0mter2-two", "***"},
		{"overlapping", "abcdefgh", "***"},
		{"repeated", "xyxyxyx", "***"},
		{"nothing", "harm\tless ✓", "harm\tless ✓"},
	} {
		if got := mask(tt.in, "hunter2-two", "line one\nline two\n", "abcdef", "defgh", "xyxyx", "", "ab"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := mask("a\x1b[2Jb"); got != "ab" {
		t.Errorf("without secrets, got %q", got)
	}
}

// awkward are secrets that every encoding changes.
var awkward = []string{"hunter2-two", `"q&uo'te<d>+\/ p%`, "pässwörd=ü~", "p1-part&+xpart2&part3", "tab\tand\x01ctl", "AAAAAAAA"}

// encoded returns s as programs print it.
func encoded(s string) map[string]string {
	quoted, _ := json.Marshal(s)
	forms := map[string]string{
		"raw": s, "json": string(quoted[1 : len(quoted)-1]), "query": url.QueryEscape(s), "path": url.PathEscape(s),
		"xml": html.EscapeString(s), "hex": hex.EncodeToString([]byte(s)), "url base64": base64.URLEncoding.EncodeToString([]byte(s)),
		"shell": strings.ReplaceAll(s, "'", `'\''`),
	}
	for _, before := range []string{"", "u:", "u"} {
		forms["base64 after "+before] = base64.StdEncoding.EncodeToString([]byte(before + s + "!"))
	}
	return forms
}

// TestMaskWriter writes secrets in every form, split at every offset.
func TestMaskWriter(t *testing.T) {
	for _, secret := range awkward {
		for name, form := range encoded(secret) {
			text := "before " + form + " after\n"
			for cut := range len(text) {
				var b bytes.Buffer
				w := report.MaskWriter(&b, secret, "before the end")
				for _, part := range []string{text[:cut], text[cut:]} {
					if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
						t.Fatal(n, err)
					}
				}
				got := b.String()
				if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after\n") || !strings.Contains(got, "***") || len(got)-len("before *** after\n") > 2*len("abcd") {
					t.Fatalf("%s of %q, cut at %d: got %q", name, secret, cut, got)
				}
			}
		}
	}
}

// FuzzMaskWriter writes a secret as programs print it, between other text and in any
// three parts: it never comes through, and what is no secret does, byte for byte.
func FuzzMaskWriter(f *testing.F) {
	for i, secret := range awkward {
		f.Add(secret, "before ", " after", uint8(i), uint16(i), uint16(3*i))
	}
	f.Add("line one\nline two\n", "\x1b[31m*", "\r\n*\xff", uint8(7), uint16(9), uint16(12))
	f.Add(`""""`, "ref\n\x98J_qobe ", "3after", uint8('g'), uint16(2), uint16(39))
	f.Fuzz(func(t *testing.T, secret, before, after string, form uint8, cut, again uint16) {
		written := func(text string, secrets ...string) string {
			var b bytes.Buffer
			w := report.MaskWriter(&b, secrets...)
			first := int(cut) % (len(text) + 1)
			second := first + int(again)%(len(text)-first+1)
			for _, part := range []string{text[:first], text[first:second], text[second:]} {
				if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
					t.Fatal(n, err)
				}
			}
			return b.String()
		}
		forms := encoded(secret)
		names := slices.Sorted(maps.Keys(forms))
		name := names[int(form)%len(names)]
		text := before + forms[name] + after + "\n"
		if got := written(text, "what nobody ever wrote: 7f1d0c"); got != text {
			t.Errorf("%q became %q", text, got)
		}
		trimmed := strings.TrimSpace(forms[name])
		if len(strings.TrimSpace(secret)) < report.Shortest || strings.ContainsAny(secret, "\r\n*") || !utf8.ValidString(secret) || strings.HasPrefix(name, "base64") {
			return // too short to hide, or hidden line by line; what base64 leaves of its ends is looked at above
		}
		if got := written(text, secret); strings.Contains(got, trimmed) && !strings.Contains("***", trimmed) {
			t.Errorf("%s of %q, cut at %d and %d: got %q", name, secret, cut, again, got)
		}
	})
}

// TestManyWords hides many secrets, some of which begin alike, and finds what the
// obvious way finds.
func TestManyWords(t *testing.T) {
	var secrets []string
	for i := range 200 {
		secrets = append(secrets, "s3cr"+strings.Repeat("et", i%7)+string(rune('a'+i%26)), "key-"+strings.Repeat("k", i%11))
	}
	text := ""
	for i, s := range secrets {
		text += s[:len(s)-1] + strings.Repeat(".", i%3) + s + strings.Repeat(" ", i%2)
	}
	var got pipeline.Event
	report.Mask(func(ev pipeline.Event) { got = ev }, secrets...)(pipeline.Event{Text: text})
	hidden := make([]bool, len(text)+1)
	for _, s := range secrets {
		for i := range text {
			if strings.HasPrefix(text[i:], s) {
				for j := range s {
					hidden[i+j] = true
				}
			}
		}
	}
	want, touching := "", false
	for i := range text {
		switch {
		case !hidden[i]:
			want += text[i : i+1]
		case !touching:
			want += "***"
		}
		touching = hidden[i]
	}
	if got.Text != want {
		t.Errorf("got\n%s\nwant\n%s", got.Text, want)
	}
}

package github

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/slipway-ci/slipway/pipeline/report"
)

// command returns a line that the runner obeys. Properties come as name, value,
// name, value; those without a value are left out.
func command(name, data string, properties ...string) string {
	var b strings.Builder
	b.WriteString("::" + name)
	sep := " "
	for i := 0; i+1 < len(properties); i += 2 {
		if properties[i+1] != "" {
			b.WriteString(sep + properties[i] + "=" + property.Replace(properties[i+1]))
			sep = ","
		}
	}
	b.WriteString("::" + escape.Replace(data) + "\n")
	return b.String()
}

var (
	escape   = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// Defuse returns a line in which the runner finds no command: a space stands
// inside of "##[", and of "::" at its start. Other lines are returned as they
// are. The runner compares as people of its country would, which takes no notice
// of marks that cannot be seen; so neither does this.
func Defuse(line string) string {
	rest := strings.TrimLeftFunc(line, blank)
	if first, n := next(rest, ':'); first {
		if second, _ := next(rest[n:], ':'); second {
			at := len(line) - len(rest) + n
			line = line[:at] + " " + line[at:]
		}
	}
	for from := 0; ; {
		i := strings.IndexByte(line[from:], '#')
		if i < 0 {
			return line
		}
		from += i + 1
		second, n := next(line[from:], '#')
		third, _ := next(line[from+n:], '[')
		if second && third {
			from += n
			line = line[:from] + " " + line[from:]
		}
	}
}

// next reports whether the first mark of s that can be seen is c, and returns
// how long s is up to its end.
func next(s string, c rune) (bool, int) {
	for i, r := range s {
		if !ignored(r) {
			return r == c, i + 1
		}
	}
	return false, len(s)
}

// ignored reports whether comparisons by ICU take no notice of r.
func ignored(r rune) bool {
	return unicode.IsControl(r) && !unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// blank reports whether r may stand before a command.
func blank(r rune) bool { return unicode.IsSpace(r) || ignored(r) }

// Guard returns a writer for text that is not addressed to the runner: every
// line of it is defused. A line that has not ended waits for its end, or for as
// much as a command could need.
func Guard(w io.Writer) io.Writer { return &guard{w: w} }

type guard struct {
	w    io.Writer
	held string
}

func (g *guard) Write(b []byte) (int, error) {
	text := g.held + string(b)
	end := strings.LastIndexByte(text, '\n') + 1
	g.held = text[end:]
	var out strings.Builder
	for line := range strings.Lines(text[:end]) {
		line, ended := strings.CutSuffix(line, "\n")
		line, cr := strings.CutSuffix(line, "\r")
		for i, part := range strings.Split(line, "\r") { // the runner takes CR for an end of a line, too
			if i > 0 {
				out.WriteByte('\r')
			}
			out.WriteString(Defuse(part))
		}
		if cr {
			out.WriteByte('\r')
		}
		if ended {
			out.WriteByte('\n')
		}
	}
	if _, err := io.WriteString(g.w, out.String()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Masks makes the runner hide secrets, too: what other programs of the job print
// goes through it, and not through us.
func Masks(w io.Writer, secrets ...string) {
	for _, s := range secrets {
		if s = strings.TrimSpace(s); len(s) >= report.Shortest {
			fmt.Fprint(w, command("add-mask", s)) // the runner hides each line of it, and makes all the encodings
		}
	}
}

// token returns what nobody can guess.
func token() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return hex.EncodeToString(b[:])
}

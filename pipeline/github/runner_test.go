package github_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// A runner reads the output of a step as GitHub's does: see ActionCommand.cs,
// ActionCommandManager.cs and ValueEncoders.cs of github.com/actions/runner. It
// is stricter where that depends on the machine: every name is a command that it
// knows, and marks that cannot be seen never keep it from finding one.
type runner struct {
	commands []command // those obeyed
	shown    []string  // lines that were no commands
	stopped  string    // the token that it waits for; empty while it obeys
	masks    []string
}

type command struct {
	old        bool // ##[name]
	name, data string
	properties map[string]string
}

// read takes all of a stream. Lines end as .NET's StreamReader has it.
func (r *runner) read(stream []byte) {
	text := strings.ToValidUTF8(string(stream), "\ufffd")
	for _, line := range strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") {
		c, ok := parse(line)
		if !ok {
			c, ok = parseOld(line)
		}
		switch {
		case !ok || r.stopped != "" && !strings.EqualFold(c.name, r.stopped):
			r.shown = append(r.shown, line)
			continue
		case r.stopped != "":
			r.stopped = ""
		case strings.EqualFold(c.name, "stop-commands"):
			r.stopped = c.data
		case strings.EqualFold(c.name, "add-mask"):
			for _, s := range append(strings.FieldsFunc(c.data, func(c rune) bool { return c == '\r' || c == '\n' }), c.data) {
				r.masks = append(r.masks, encodings(s)...)
			}
		}
		r.commands = append(r.commands, c)
	}
}

func (r *runner) names() []string {
	var names []string
	for _, c := range r.commands {
		names = append(names, c.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// seen is a line as a comparison by ICU takes it.
func seen(line string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me, unicode.Other_Default_Ignorable_Code_Point) || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, line)
}

func parse(line string) (command, bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeftFunc(seen(line), unicode.IsSpace), "::")
	info, data, ended := strings.Cut(rest, "::")
	if !ok || !ended {
		return command{}, false
	}
	return made(info, strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(data), false), true
}

func parseOld(line string) (command, bool) {
	_, rest, ok := strings.Cut(seen(line), "##[")
	info, data, ended := strings.Cut(rest, "]")
	if !ok || !ended {
		return command{}, false
	}
	return made(info, data, true), true
}

func made(info, data string, old bool) command {
	name, rest, _ := strings.Cut(info, " ")
	c := command{old: old, name: name, data: data, properties: map[string]string{}}
	for _, p := range strings.Split(strings.TrimSpace(rest), ",") {
		if k, v, ok := strings.Cut(p, "="); ok {
			c.properties[k] = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%").Replace(v)
		}
	}
	return c
}

// encodings are the words that the runner's masker makes of a secret.
func encodings(s string) []string {
	if s == "" {
		return nil
	}
	var quoted bytes.Buffer
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	list := []string{
		s, strings.ReplaceAll(s, `"`, `\"`), strings.ReplaceAll(s, "'", "''"),
		strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(quoted.String()), `"`), `"`),
		strings.ReplaceAll(url.QueryEscape(s), "+", "%20"),
		strings.NewReplacer("<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "&", "&amp;").Replace(s),
	}
	for i := range min(3, len(s)) {
		list = append(list, base64.RawStdEncoding.EncodeToString([]byte(s[i:])), base64.RawURLEncoding.EncodeToString([]byte(s[i:])))
	}
	if len(s) > 8 && strings.HasPrefix(s, `"`) && strings.HasSuffix(s, `"`) {
		list = append(list, s[1:len(s)-1])
	}
	if i := strings.Index(s, "&+"); i >= 0 {
		list = append(list, long(s[:i+2]), long(s[min(i+3, len(s)):]))
	} else if i := strings.LastIndex(s, "&"); i >= 0 {
		list = append(list, long(s[:i+1]), long(s[i+1:]))
	}
	return slices.DeleteFunc(list, func(w string) bool { return w == "" })
}

func long(s string) string {
	if len(s) < 6 {
		return ""
	}
	return s
}

// outputs reads what a step gives, as FileCommandManager.cs does.
func outputs(text string) map[string]string {
	got := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		if name, end, ok := strings.Cut(lines[i], "<<"); ok && !strings.Contains(name, "=") {
			var value []string
			for i++; i < len(lines) && lines[i] != end; i++ {
				value = append(value, lines[i])
			}
			got[name] = strings.Join(value, "\n")
		} else if name, value, ok := strings.Cut(lines[i], "="); ok {
			got[name] = value
		}
	}
	return got
}

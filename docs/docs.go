// Package docs holds the pages that the command can print, too.
//
// # Owns
//
// What is said about error codes: errors.md is read by people as it is, and by
// "slipway explain" through [Codes].
//
// # May touch
//
// The standard library, and the pages beside it.
package docs

import (
	_ "embed"
	"regexp"
	"strings"
	"sync"
)

//go:embed errors.md
var errorsPage string

// A Code is what there is to know about an error code.
type Code struct {
	Name  string `json:"code"`
	Topic string `json:"topic"`           // the heading that it stands under
	Text  string `json:"text"`            // what it means
	Wrong string `json:"wrong,omitempty"` // a pipeline file, or sections of one; empty where none can show it
	Right string `json:"right,omitempty"`

	// Whole means that Wrong is all there is; the sections that it leaves out
	// would take the mistake away.
	Whole bool `json:"-"`
}

// Short returns what the text says first, up to a full stop or a colon.
func (c Code) Short() string {
	text := strings.Join(strings.Fields(link().ReplaceAllString(c.Text, "$1")), " ") + " "
	for i, r := range text[:len(text)-1] {
		quoted := strings.Count(text[:i], "`")%2 == 1
		if (r == '.' || r == ':') && text[i+1] == ' ' && !quoted {
			return text[:i]
		}
	}
	return strings.TrimSpace(text)
}

// Plain returns the text for a terminal: links become what they point to.
func (c Code) Plain() string { return link().ReplaceAllString(c.Text, "$1 ($2)") }

var link = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\[([^]]*)\]\(([^)]*)\)`) })

var block = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("(?ms)^```yaml( wrong)?( whole)?\n(.*?)^```\n?") })

// Codes returns every error code, in the order of the page.
func Codes() []Code {
	var codes []Code
	for _, topic := range strings.Split(errorsPage, "\n## ")[1:] {
		heading, rest, _ := strings.Cut(topic, "\n")
		for _, entry := range strings.Split(rest, "\n### ")[1:] {
			name, text, _ := strings.Cut(entry, "\n")
			c := Code{Name: name, Topic: heading, Text: strings.TrimSpace(block().ReplaceAllString(text, ""))}
			for _, m := range block().FindAllStringSubmatch(text+"\n", -1) {
				if m[1] == "" {
					c.Right = m[3]
				} else {
					c.Wrong, c.Whole = m[3], m[2] != ""
				}
			}
			codes = append(codes, c)
		}
	}
	return codes
}

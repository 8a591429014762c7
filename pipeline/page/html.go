package page

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the parts of the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

var (
	//go:embed page.html
	layout string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
)

// MostLog is how many bytes of the log of one step are in a page; of one that is
// longer, those are its end.
const MostLog = 1 << 20

// A Log is the end of the log of a step.
type Log struct {
	Text   []byte // at most MostLog bytes
	Before int64  // bytes that come before Text
}

// HTML writes a page that needs nothing but itself. Logs returns the log of a
// step, or the end of it; it may be nil. All text is text: the page has a script of its own,
// and the browser is told to run no other, and to fetch nothing.
func HTML(w io.Writer, logs func(Step) Log, reports ...*Report) error {
	policy := fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'", sum(style), sum(script))
	t, err := template.New("page").Funcs(template.FuncMap{
		"duration": duration, "at": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"short": func(s string) string { return s[:min(12, len(s))] },
		"count": report.Count, "join": func(s []string) string { return strings.Join(s, ", ") },
		"tail": func(s Step) string { return tail(logs, s) },
		"bar":  bar, "drawn": draw, "difference": difference,
		"size": report.Size, "digits": short, "share": share,
		"text": func(v any) string { return fmt.Sprint(v) },
	}).Parse(layout)
	if err != nil {
		return err
	}
	reports = slices.Clone(reports)
	for i, r := range reports {
		if reports[i], err = r.tame(); err != nil {
			return err
		}
	}
	title := "slipway"
	if len(reports) == 1 {
		title = reports[0].Headline()
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{
		"Title": title, "Policy": policy, "Style": template.CSS(style), "Script": template.JS(script), "Reports": reports, //nolint:gosec // these two are ours
	}); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// tail returns the log of a step, or the end of it.
func tail(logs func(Step) Log, s Step) string {
	if logs == nil {
		return ""
	}
	log := logs(s)
	if log.Before > 0 {
		return fmt.Sprintf("… %d bytes before this are in %s\n", log.Before, s.Log) + strings.ToValidUTF8(string(log.Text), "")
	}
	return string(log.Text)
}

// A line is a line of a difference, and how it looks.
type line struct{ Class, Text string }

// difference splits a difference into lines that were, are, and are as they were.
func difference(diff string) []line {
	var lines []line
	for _, l := range strings.Split(strings.TrimRight(diff, "\n"), "\n") {
		class := ""
		switch {
		case strings.HasPrefix(l, "+"):
			class = "add"
		case strings.HasPrefix(l, "-"):
			class = "del"
		}
		lines = append(lines, line{class, l})
	}
	return lines
}

// A rect is a part of a time line that is 1000 wide.
type rect struct{ X, Width int }

// bar returns where a part of a run stands on the time line of the run.
func bar(r *Report, started time.Time, elapsed time.Duration) *rect {
	whole := r.Finished.Sub(r.Started)
	if started.IsZero() || whole <= 0 {
		return nil
	}
	at := func(d time.Duration) int { return int(max(0, min(1000, 1000*d/whole))) }
	x := min(996, at(started.Sub(r.Started)))
	return &rect{X: x, Width: min(1000-x, max(4, at(elapsed)))}
}

// share returns what part of the image a layer is, of 1000.
func share(p Platform, l Layer) int64 {
	if p.Size <= 0 {
		return 0
	}
	return max(0, min(1000, l.Size*1000/p.Size))
}

// A drawing is a graph with places.
type drawing struct {
	Width, Height int
	Nodes         []node
	Edges         []string // the d of a path
}

type node struct {
	X, Y           int
	ID, Kind, Text string
	Class          string
}

const (
	nodeWidth, nodeHeight = 168, 46
	gapX, gapY            = 56, 18
)

// draw places the steps in columns: each to the right of all it comes after.
func draw(r *Report) *drawing {
	if len(r.Steps) < 2 || len(r.Steps) > 200 {
		return nil
	}
	column, rows := map[pipeline.ID]int{}, map[int]int{}
	place := map[pipeline.ID]node{}
	d := &drawing{}
	before := func(id pipeline.ID) []Step { // a step, or all cells of a stage
		var list []Step
		for _, s := range r.Steps {
			if s.ID == id || s.ID.Stage() == id {
				list = append(list, s)
			}
		}
		return list
	}
	for _, s := range r.Steps {
		for _, id := range s.After {
			for _, b := range before(id) {
				column[s.ID] = max(column[s.ID], column[b.ID]+1)
			}
		}
		c := column[s.ID]
		n := node{X: 1 + c*(nodeWidth+gapX), Y: 1 + rows[c]*(nodeHeight+gapY), ID: string(s.ID), Kind: s.Kind + ", " + s.State(), Class: cmp.Or(string(s.Status), "planned")}
		if n.Text = n.ID; len([]rune(n.Text)) > 20 {
			n.Text = string([]rune(n.Text)[:19]) + "…"
		}
		rows[c]++
		place[s.ID] = n
		d.Nodes = append(d.Nodes, n)
		d.Width, d.Height = max(d.Width, n.X+nodeWidth+1), max(d.Height, n.Y+nodeHeight+1)
		for _, id := range s.After {
			for _, b := range before(id) {
				from := place[b.ID]
				x1, y1, x2, y2 := from.X+nodeWidth, from.Y+nodeHeight/2, n.X, n.Y+nodeHeight/2
				bend := max(gapX/2, (x2-x1)/2)
				d.Edges = append(d.Edges, fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2))
			}
		}
	}
	return d
}

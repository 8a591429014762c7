package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
)

// Ranks say what is shown where a terminal has not room for all. Lines of logs
// have a rank of their own each, the last line the first of them, so that all
// parts that run show one line before one of them shows two.
const (
	rankFailed = iota
	rankRuns
	rankRunsPart
	rankLog
	rankDonePart = rankLog + mostLog
	rankDone     = rankDonePart + 1
	ranks        = rankDone + 1
)

// A row is a line that may be shown.
type row struct {
	rank int
	item *item
	part bool
	log  string // a line of the item's log, instead of the item
}

// frame returns the view of a run that goes on, of at most height lines: what
// failed, what runs and the ends of its logs, and of what is done the last.
func (l *live) frame(height int) []line {
	height = max(height, 2)
	var all []row
	running, done := 0, 0
	for _, s := range slices.Backward(l.stages) { // from the end: of what is done only the last can be seen
		switch s.status {
		case pipeline.StatusFailed:
			all = append(all, s.backward(true)...)
		case "":
			running++
			all = append(all, s.backward(false)...)
		default:
			if done++; done > height {
				continue
			}
		}
		all = append(all, row{rank: s.rank(rankRuns, rankDone), item: &s.item})
	}
	slices.Reverse(all)
	shown := choose(all, height-1)
	hidden := func() int {
		n := running
		for _, r := range shown {
			if r.rank == rankRuns {
				n--
			}
		}
		return n
	}
	if hidden() > 0 {
		shown = choose(all, height-2)
	}
	lines := l.lines(shown)
	if n := hidden(); n > 0 {
		lines = append(lines, line{left: fmt.Sprintf(" => … and %d more", n)})
	}
	return lines
}

// last returns the view of a run that has ended. Of one that failed, errors with
// their causes and cures are written below it: it has what failed, and a count of
// the rest.
func (l *live) last(height int) []line {
	var all []row
	counts := map[pipeline.Status]int{}
	for _, s := range l.stages {
		failed := s.status == pipeline.StatusFailed
		if counts[s.status]++; l.status == pipeline.StatusOK || failed {
			all = append(all, row{rank: s.rank(rankDone, rankRuns), item: &s.item})
			parts := s.backward(failed)
			slices.Reverse(parts)
			all = append(all, parts...)
		}
	}
	if l.status == pipeline.StatusOK {
		told := l.warned(5)
		return append(l.lines(choose(all, max(height-1-len(told), 1))), told...)
	}
	for i := range all {
		all[i].item.text = "" // the error has it
	}
	lines := l.lines(choose(all, max(height/3, 1)))
	var rest []string
	for _, st := range []pipeline.Status{pipeline.StatusOK, pipeline.StatusReused, pipeline.StatusSkipped, pipeline.StatusCanceled} {
		if counts[st] > 0 {
			rest = append(rest, fmt.Sprintf("%d %s", counts[st], st))
		}
	}
	if len(l.warnings) > 0 {
		rest = append(rest, Count(len(l.warnings), "warning"))
	}
	if len(rest) > 0 {
		lines = append(lines, line{left: " => " + strings.Join(rest, ", ")})
	}
	return lines
}

// warned returns at most so many warnings.
func (l *live) warned(most int) []line {
	var lines []line
	for i, ev := range l.warnings {
		if i == most && len(l.warnings) > most+1 {
			lines = append(lines, line{left: fmt.Sprintf(" => WARN: and %d more (slipway report)", len(l.warnings)-most), style: yellow})
			break
		}
		lines = append(lines, line{left: fmt.Sprintf(" => WARN: %s: %s%s", name(ev), where(ev), clean(ev.Text)), style: yellow})
	}
	return lines
}

// backward returns the rows of the parts of a stage, the last first: all, or
// those that failed.
func (s *stage) backward(failed bool) []row {
	var list []row
	logs := func(it *item) {
		for i, text := range slices.Backward(it.log) {
			list = append(list, row{rank: rankLog + len(it.log) - 1 - i, item: it, part: true, log: text})
		}
	}
	for _, p := range slices.Backward(s.parts) {
		if failed && p.status != pipeline.StatusFailed {
			continue
		}
		logs(p)
		list = append(list, row{rank: p.rank(rankRunsPart, rankDonePart), item: p, part: true})
	}
	if !failed {
		logs(&s.item)
	}
	return list
}

func (it *item) rank(runs, done int) int {
	switch it.status {
	case pipeline.StatusFailed:
		return rankFailed
	case "":
		return runs
	}
	return done
}

// choose returns at most n of rows: those of the lowest ranks, in the order they
// have. Of a rank for which there is not room, what is done gives way to what came
// after it, and all else to what came before it.
func choose(all []row, n int) []row {
	if len(all) <= n {
		return all
	}
	var of, room [ranks]int
	for _, r := range all {
		of[r.rank]++
	}
	for rank := range ranks {
		room[rank] = min(of[rank], n)
		n -= room[rank]
	}
	var shown []row
	for _, r := range all {
		leave := false
		if r.rank >= rankDonePart {
			leave = of[r.rank] > room[r.rank]
			of[r.rank]--
		} else {
			leave = room[r.rank] == 0
			room[r.rank] = max(0, room[r.rank]-1)
		}
		if !leave {
			shown = append(shown, r)
		}
	}
	return shown
}

const (
	red    = "31"
	yellow = "33"
	cyan   = "36"
	faint  = "2"
)

// lines returns the heading of the run, and rows as lines.
func (l *live) lines(rows []row) []line {
	total := max(l.total, len(l.stages))
	head := line{left: fmt.Sprintf("[+] Running %s %s (%d/%d)", l.name, l.took(), l.ended, total)}
	switch l.status {
	case pipeline.StatusOK:
		head.left += " FINISHED"
	case pipeline.StatusFailed:
		head.left, head.style = head.left+" FAILED", red
	case pipeline.StatusCanceled:
		head.left, head.style = head.left+" CANCELED", yellow
	}
	lines := []line{head}
	for _, r := range rows {
		indent := " => "
		if r.part {
			indent = " => => "
		}
		if r.log != "" {
			lines = append(lines, line{left: indent + "# " + r.log, style: faint})
			continue
		}
		lines = append(lines, r.item.line(indent))
	}
	return lines
}

func (it *item) line(indent string) line {
	l := line{left: it.name, right: it.took()}
	switch it.status {
	case pipeline.StatusOK:
		l.style = cyan
	case pipeline.StatusReused:
		l.left, l.style = "CACHED "+l.left, cyan
	case pipeline.StatusFailed:
		l.left, l.style = "ERROR "+l.left, red
	case pipeline.StatusSkipped:
		l.left, l.style = "SKIPPED "+l.left, yellow
	case pipeline.StatusCanceled:
		l.left, l.style = "CANCELED "+l.left, yellow
	}
	if l.left = indent + l.left; it.text != "" {
		l.left += "  " + it.text
	}
	if it.status == "" && it.done+it.total > 0 {
		l.amount = amount(it.done, it.total)
	}
	return l
}

// took returns how long it took, or takes by now.
func (it *item) took() string {
	d := it.elapsed
	if it.status == "" {
		d = time.Since(it.began)
	}
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return round(d)
}

func amount(done, total int64) string {
	if total > 0 {
		return Size(done) + " / " + Size(total)
	}
	return Size(done)
}

// Size returns a number of bytes for people.
func Size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

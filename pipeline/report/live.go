package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
)

// A live is what is known of a run while it goes on.
type live struct {
	item     // the run itself
	stages   []*stage
	byID     map[pipeline.ID]*stage
	total    int // stages; zero while unknown
	ended    int
	warnings []pipeline.Event
}

// A stage is one step of the run, with what it consists of.
type stage struct {
	item
	parts  []*item // in the order they began
	byName map[string]*item
}

// An item is something that takes its time.
type item struct {
	name        string
	text        string // what it does, or why it ended so
	status      pipeline.Status
	began       time.Time
	elapsed     time.Duration
	done, total int64    // bytes
	log         []string // the last lines it wrote
}

const (
	mostLog  = 6       // lines of its log that stand below a part
	mostText = 4 << 10 // bytes of a text; no terminal has a row of so many
)

func (l *live) event(ev pipeline.Event) {
	now := time.Now()
	if l.began.IsZero() {
		l.began, l.byID = now, map[pipeline.ID]*stage{}
	}
	if ev.Type == pipeline.EventWarning {
		l.warnings = append(l.warnings, ev)
		return
	}
	if ev.Step == "" {
		switch ev.Type {
		case pipeline.EventStart:
			l.name, l.total = clean(ev.Text), int(ev.Total)
		case pipeline.EventFinish:
			l.end(ev)
		}
		return
	}
	s := l.byID[ev.Step]
	if s == nil {
		s = &stage{item: item{name: clean(string(ev.Step)), began: now}, byName: map[string]*item{}}
		l.byID[ev.Step] = s
		l.stages = append(l.stages, s)
	}
	if ev.Type == pipeline.EventFinish {
		l.ended++
	}
	s.event(ev, now)
}

func (s *stage) event(ev pipeline.Event, now time.Time) {
	it := &s.item
	if ev.Task != "" && ev.Type != pipeline.EventOutput && (ev.Type != pipeline.EventTest || ev.Status == pipeline.StatusFailed) {
		it = s.part(ev.Task, now)
	}
	switch ev.Type {
	case pipeline.EventTask:
		if ev.Status == "" {
			it.status, it.began = "", now
		} else {
			it.end(ev)
		}
	case pipeline.EventTest:
		if ev.Status == pipeline.StatusFailed {
			it.end(ev)
		}
	case pipeline.EventVerdict:
		ev.Elapsed = now.Sub(it.began)
		it.end(ev)
		it.name, it.text = it.text, "" // a verdict names its workload
	case pipeline.EventLog:
		lines := strings.Split(ev.Text, "\n")
		for _, line := range lines[max(0, len(lines)-mostLog):] {
			it.log = append(it.log[max(0, len(it.log)-mostLog+1):], clean(line[strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r')+1:]))
		}
	case pipeline.EventNote:
		it.text = clean(ev.Text)
	case pipeline.EventProgress:
		it.done, it.total = ev.Done, ev.Total
	case pipeline.EventRetry:
		s.parts, s.byName, s.log = nil, map[string]*item{}, nil
		s.text = fmt.Sprintf("attempt %d of %d; before: %s", ev.Done+1, ev.Total+1, clean(ev.Text))
	case pipeline.EventFinish:
		it.end(ev)
		for _, p := range s.parts {
			if p.status == "" { // nobody said how it ended
				p.end(pipeline.Event{Status: ev.Status, Text: p.text, Elapsed: now.Sub(p.began)})
				if ev.Status == pipeline.StatusFailed {
					p.status = pipeline.StatusCanceled
				}
			}
		}
	}
}

// part returns the part of that name.
func (s *stage) part(name string, now time.Time) *item {
	p := s.byName[name]
	if p == nil {
		p = &item{name: clean(name), began: now}
		s.byName[name] = p
		s.parts = append(s.parts, p)
	}
	return p
}

func (it *item) end(ev pipeline.Event) {
	it.status, it.elapsed, it.text = ev.Status, ev.Elapsed, clean(ev.Text)
	if it.status == "" {
		it.status = pipeline.StatusOK
	}
	it.log = nil
}

// clean returns the first line of text, tamed.
func clean(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return Tame(strings.ToValidUTF8(text[:min(len(text), mostText)], ""))
}

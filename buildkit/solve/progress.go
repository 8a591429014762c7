package solve

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/slipway-ci/slipway/buildkit"
)

// tailLines is how many lines of a failed step an error carries.
const tailLines = 20

// A follower turns the status of one solve into Progress, and remembers what an
// error will need: names and last lines of vertexes.
type follower struct {
	spec  buildkit.Spec
	watch func(buildkit.Progress)
	done  sync.WaitGroup

	mu    sync.Mutex // guards what follows, and lets one call of watch in at a time
	names map[digest.Digest]string
	tails map[digest.Digest]*tail
	parts map[digest.Digest]map[string]*client.VertexStatus
}

func newFollower(spec buildkit.Spec, watch func(buildkit.Progress)) *follower {
	if watch == nil {
		watch = func(buildkit.Progress) {}
	}
	return &follower{
		spec:  spec,
		watch: watch,
		names: map[digest.Digest]string{},
		tails: map[digest.Digest]*tail{},
		parts: map[digest.Digest]map[string]*client.VertexStatus{},
	}
}

// start returns the channel for a solve, which closes it; wait returns when all
// that came through was watched.
func (f *follower) start() chan *client.SolveStatus {
	ch := make(chan *client.SolveStatus)
	f.done.Go(func() {
		for status := range ch {
			f.observe(status)
		}
	})
	return ch
}

func (f *follower) wait() { f.done.Wait() }

// say reports a Progress that did not come as a status.
func (f *follower) say(p buildkit.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch(p)
}

func (f *follower) observe(s *client.SolveStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range s.Vertexes {
		f.names[v.Digest] = v.Name
		if w := cacheFault(v); w != nil && v.Completed != nil {
			f.watch(buildkit.Progress{Vertex: v.Digest.String(), Name: v.Name, Warning: w})
		}
		f.watch(buildkit.Progress{
			Vertex:    v.Digest.String(),
			Name:      v.Name,
			Started:   timeOf(v.Started),
			Completed: timeOf(v.Completed),
			Cached:    v.Cached,
			Error:     buildkit.Unsigned(v.Error),
		})
	}
	for _, st := range s.Statuses {
		f.watch(f.amount(st))
	}
	for _, l := range s.Logs {
		if bytes.HasPrefix(l.Data, againLog) {
			l.Data = []byte(buildkit.Unsigned(string(l.Data)))
		}
		f.tail(l.Vertex).write(l.Data)
		f.watch(buildkit.Progress{Vertex: l.Vertex.String(), Name: f.names[l.Vertex], Log: string(l.Data)})
	}
	for _, w := range s.Warnings {
		f.watch(buildkit.Progress{Vertex: w.Vertex.String(), Name: f.names[w.Vertex], Warning: f.warning(w)})
	}
}

// againLog begins what BuildKit writes into the log of a step, in one piece, before it
// tries a transfer once more. Addresses of storage are in it as they were asked for.
var againLog = []byte("error: failed to ")

// amount adds up the parts of a vertex: the layers of a pull, the files sent.
func (f *follower) amount(st *client.VertexStatus) buildkit.Progress {
	parts := f.parts[st.Vertex]
	if parts == nil {
		parts = map[string]*client.VertexStatus{}
		f.parts[st.Vertex] = parts
	}
	parts[st.ID] = st
	p := buildkit.Progress{Vertex: st.Vertex.String(), Name: f.names[st.Vertex]}
	for _, part := range parts {
		p.Done += part.Current
		p.Total += part.Total
	}
	return p
}

func (f *follower) warning(w *client.VertexWarning) *buildkit.Warning {
	out := &buildkit.Warning{Text: string(w.Short), URL: w.URL}
	if w.SourceInfo != nil {
		out.File = f.spec.FileName()
	}
	if len(w.Range) > 0 {
		out.Line = int(w.Range[0].Start.Line)
	}
	return out
}

func (f *follower) tail(vertex digest.Digest) *tail {
	t := f.tails[vertex]
	if t == nil {
		t = &tail{}
		f.tails[vertex] = t
	}
	return t
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// A tail keeps the last lines written to it.
type tail struct {
	lines []string
	rest  string // a line that is not ended yet
}

func (t *tail) write(data []byte) {
	end := len(data)
	for range tailLines + 1 {
		if end = bytes.LastIndexByte(data[:end], '\n'); end < 0 {
			break
		}
	}
	if end >= 0 { // what is before this will not be among the last
		t.lines, t.rest, data = nil, "", data[end+1:]
	}
	parts := strings.Split(t.rest+string(data), "\n")
	t.rest = parts[len(parts)-1]
	t.lines = append(t.lines, parts[:len(parts)-1]...)
	if extra := len(t.lines) - tailLines; extra > 0 {
		t.lines = append([]string(nil), t.lines[extra:]...)
	}
}

func (t *tail) last() []string {
	if t == nil {
		return nil
	}
	lines := t.lines
	if t.rest != "" {
		lines = append(lines[:len(lines):len(lines)], t.rest)
	}
	return lines[max(0, len(lines)-tailLines):]
}

package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/page"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// A record is what stays of a run, in .slipway/runs/<id> beside the pipeline
// file: the journal with every event, the log of each step, the release, and the
// report, as docs/reports.md describes them.
type record struct {
	dir     *os.Root
	mask    func(io.Writer) io.Writer
	journal *os.File
	write   pipeline.Sink
	logs    map[pipeline.ID]*stepLog
	release *pipeline.Release
	report  *page.Report
	verdict map[pipeline.ID][]pipeline.Event
}

// newRecord begins a record. Where the folder cannot be written, nothing stays
// of the run but what it printed: that is said in the error, and no reason not
// to run.
func newRecord(id string, plan *pipeline.Plan, mask func(io.Writer) io.Writer) (*record, error) {
	now := time.Now().UTC()
	r := &record{mask: mask, verdict: map[pipeline.ID][]pipeline.Event{}}
	r.release = &pipeline.Release{
		Version: pipeline.ReleaseVersion, ID: id, Pipeline: plan.Pipeline,
		Environment: plan.Environment, Partial: plan.Partial, From: plan.From, Started: now,
	}
	r.release.Commit, r.release.Dirty = commit(plan.Scope)
	r.report, r.logs = page.Planned(plan), map[pipeline.ID]*stepLog{}
	r.report.ID, r.report.Started = r.release.ID, now
	r.report.Commit, r.report.Dirty = r.release.Commit, r.release.Dirty
	r.write = func(pipeline.Event) {}
	err := r.open(plan.Scope.Dir)
	if err == nil { // so that a run which is killed has a report, too
		err = r.put("report.json", func(w io.Writer) error { return page.JSON(r.mask(w), r.report) })
	}
	if err != nil {
		return r, fmt.Errorf("no record is kept of this run: %w", err)
	}
	r.write = report.JSON(r.journal)
	return r, nil
}

// open makes the folder of the record below dir, and the journal in it.
func (r *record) open(dir string) error {
	top, err := os.OpenRoot(dir) // links that lead out of it are not followed
	if err != nil {
		return err
	}
	defer top.Close()
	if err := ownFolder(top); err != nil {
		return err
	}
	runs := filepath.Join(ownDir, "runs", r.release.ID)
	if err := top.MkdirAll(runs, 0o755); err != nil {
		return err
	}
	if r.dir, err = top.OpenRoot(runs); err != nil {
		return err
	}
	r.journal, err = r.dir.Create("journal.jsonl")
	return err
}

// ownDir is the folder of what slipway leaves beside a pipeline file. It is part of no build
// context.
const ownDir = ".slipway"

// ownFolder makes it, and lets nobody commit it by accident.
func ownFolder(top *os.Root) error {
	if err := top.MkdirAll(ownDir, 0o755); err != nil {
		return err
	}
	ignore := filepath.Join(ownDir, ".gitignore")
	if _, err := top.Lstat(ignore); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return top.WriteFile(ignore, []byte("*\n"), 0o644)
}

// fact returns a fact that may have to be found out.
func fact(sc pipeline.Scope, name string) any {
	if lazy, ok := sc.Facts[name].(func() any); ok {
		return lazy()
	}
	return sc.Facts[name]
}

// commit returns the commit of the tree, and whether the tree has changes that it
// does not hold. It is empty outside of a repository.
func commit(sc pipeline.Scope) (sha string, dirty bool) {
	if git, ok := fact(sc, "git").(map[string]any); ok {
		sha, _ = git["sha"].(string)
		dirty, _ = git["dirty"].(bool)
	}
	return sha, dirty
}

// runID returns what this run is called, here and in the cluster. A run that began
// later has a name that sorts later.
func (a *app) runID() string {
	if a.id == "" {
		a.id = newRunID(time.Now())
	}
	return a.id
}

// newRunID returns a name for a run that began at a time, to a 4096th of a second;
// the rest tells runs apart that begin at once.
func newRunID(began time.Time) string {
	return fmt.Sprintf("%s-%03x%.3s", began.UTC().Format("20060102-150405"), began.Nanosecond()*4096/int(time.Second), suffix())
}

func suffix() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return hex.EncodeToString(b[:])
}

// sink remembers verdicts, and writes the journal: all that happened but for the
// lines of logs, which have a file for each step.
func (r *record) sink(ev pipeline.Event) {
	r.report.Event(ev)
	switch ev.Type {
	case pipeline.EventLog:
		if r.dir != nil {
			r.log(ev)
		}
		return
	case pipeline.EventVerdict:
		r.verdict[ev.Step] = append(r.verdict[ev.Step], ev)
	case pipeline.EventFinish:
		if l := r.logs[ev.Step]; l != nil {
			_ = l.Flush() // a line that cannot be written must not end the run
		}
	}
	r.write(ev)
}

// A stepLog is the log of one step.
type stepLog struct {
	report.Batch
	file io.Closer
}

// log appends lines to the log of their step. What cannot be written is
// nowhere: it must not end the run.
func (r *record) log(ev pipeline.Event) {
	l := r.logs[ev.Step]
	if l == nil {
		name := logName(ev.Step)
		_ = r.dir.MkdirAll("logs", 0o755)
		file, err := r.dir.Create(name)
		if err != nil {
			return
		}
		l = &stepLog{Batch: report.Batch{W: file}, file: file}
		r.logs[ev.Step] = l
		if s := r.report.Step(ev.Step); s != nil {
			s.Log = name
		}
	}
	l.Lines("", ev.Text)
}

// logName returns the path of the log of a step, which may be a cell with any name.
func logName(step pipeline.ID) string {
	plain := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c) {
			return c
		}
		return '_'
	}, string(step))
	if plain != string(step) {
		plain = fmt.Sprintf("%.60s-%.8x", plain, sha256.Sum256([]byte(step)))
	}
	return "logs/" + plain + ".log"
}

// finish writes the report, after the release. Err is what the run ended with.
func (r *record) finish(err error) error {
	r.report.Finish(r.release, err)
	var text bytes.Buffer
	if err := page.JSON(r.mask(&text), r.report); err != nil {
		return err
	}
	clean, err := page.Read(text.Bytes()) // without secrets
	if err != nil {
		return err
	}
	r.report = clean
	if r.journal == nil {
		return nil
	}
	var files errgroup.Group
	files.Go(func() error {
		return r.put("report.json", func(w io.Writer) error { _, err := w.Write(text.Bytes()); return err })
	})
	files.Go(func() error { return r.put("junit.xml", func(w io.Writer) error { return page.JUnit(w, clean) }) })
	files.Go(func() error {
		return r.put("report.html", func(w io.Writer) error { return page.HTML(w, logsIn(r.dir), clean) })
	})
	return files.Wait()
}

// logsIn returns a function that reads the end of the log of a step from the
// folder of a run. Of a log that cannot be read there is nothing.
func logsIn(dir *os.Root) func(page.Step) page.Log {
	return func(s page.Step) (log page.Log) {
		if s.Log == "" {
			return log
		}
		f, err := dir.Open(s.Log)
		if err != nil {
			return log
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return log
		}
		log.Before = max(0, info.Size()-page.MostLog)
		log.Text, _ = io.ReadAll(io.NewSectionReader(f, log.Before, page.MostLog))
		return log
	}
}

// put writes a file whole or not at all.
func (r *record) put(name string, write func(io.Writer) error) error {
	part := "." + name
	f, err := r.dir.Create(part)
	if err == nil {
		text := bufio.NewWriter(f)
		err = errors.Join(write(text), text.Flush(), f.Close())
	}
	if err == nil {
		err = r.dir.Rename(part, name)
	}
	if err != nil {
		_ = r.dir.Remove(part)
		return fmt.Errorf("keep a record of the run: %w", err)
	}
	return nil
}

// save writes the release.
func (r *record) save(plan *pipeline.Plan, res *engine.Result) error {
	r.release.Finished, r.release.Status, r.release.Steps = time.Now().UTC(), res.Status, res.Steps
	for i := range r.release.Steps {
		r.release.Steps[i].Verdicts = r.verdict[r.release.Steps[i].ID]
	}
	for name, v := range plan.Outputs {
		if res.Status != pipeline.StatusOK {
			break // what a run gives, it gives when it is green
		}
		got, err := v.Eval(res.Scope)
		if err != nil || v.Secret() {
			continue // of a step that did not come about
		}
		if r.release.Outputs == nil {
			r.release.Outputs = map[string]any{}
		}
		r.release.Outputs[name] = got
	}
	if r.journal == nil {
		return nil
	}
	return r.put("release.json", func(w io.Writer) error { return report.ReleaseJSON(r.mask(w), r.release) })
}

func (r *record) close() {
	for _, l := range r.logs {
		_, _ = l.Flush(), l.file.Close()
	}
	if r.dir != nil {
		if r.journal != nil {
			_ = r.journal.Close()
		}
		_ = r.dir.Close()
	}
}

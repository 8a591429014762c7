package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// A record is what stays of a run, in .slipway/runs/<id> beside the pipeline
// file: the journal with every event, and the release.
type record struct {
	dir     *os.Root
	mask    func(io.Writer) io.Writer
	journal *os.File
	write   pipeline.Sink
	release *pipeline.Release
	verdict map[pipeline.ID][]pipeline.Event
}

// newRecord begins a record. Where the folder cannot be written, nothing stays
// of the run but what it printed: that is said in the error, and no reason not
// to run.
func newRecord(plan *pipeline.Plan, mask func(io.Writer) io.Writer) (*record, error) {
	now := time.Now().UTC()
	r := &record{mask: mask, verdict: map[pipeline.ID][]pipeline.Event{}}
	r.release = &pipeline.Release{
		Version: pipeline.ReleaseVersion, ID: now.Format("20060102-150405-") + suffix(), Pipeline: plan.Pipeline,
		Environment: plan.Environment, Partial: plan.Partial, From: plan.From, Started: now,
	}
	r.release.Commit, r.release.Dirty = commit(plan.Scope)
	r.write = func(pipeline.Event) {}
	if err := r.open(plan.Scope.Dir); err != nil {
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
	runs := filepath.Join(".slipway", "runs", r.release.ID)
	if err := top.MkdirAll(runs, 0o755); err != nil {
		return err
	}
	// So that nobody commits it by accident.
	if _, err := top.Lstat(".slipway/.gitignore"); errors.Is(err, fs.ErrNotExist) {
		if err := top.WriteFile(".slipway/.gitignore", []byte("*\n"), 0o644); err != nil {
			return err
		}
	}
	if r.dir, err = top.OpenRoot(runs); err != nil {
		return err
	}
	r.journal, err = r.dir.Create("journal.jsonl")
	return err
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

func suffix() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return hex.EncodeToString(b[:])
}

// sink writes the journal and remembers verdicts.
func (r *record) sink(ev pipeline.Event) {
	if ev.Type == pipeline.EventVerdict {
		r.verdict[ev.Step] = append(r.verdict[ev.Step], ev)
	}
	r.write(ev)
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
	var text bytes.Buffer
	if err := report.ReleaseJSON(r.mask(&text), r.release); err != nil {
		return err
	}
	if err := r.dir.WriteFile(".release.json", text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("keep a record of the run: %w", err)
	}
	return r.dir.Rename(".release.json", "release.json")
}

func (r *record) close() {
	if r.dir != nil {
		_ = r.journal.Close()
		_ = r.dir.Close()
	}
}

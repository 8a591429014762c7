package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
	dir     string
	journal *os.File
	write   pipeline.Sink
	release *pipeline.Release
	verdict map[pipeline.ID][]pipeline.Event
}

func newRecord(plan *pipeline.Plan) (*record, error) {
	now := time.Now().UTC()
	r := &record{
		release: &pipeline.Release{Version: 1, Pipeline: plan.Pipeline, Environment: plan.Environment, Started: now},
		verdict: map[pipeline.ID][]pipeline.Event{},
	}
	r.release.ID = now.Format("20060102-150405-") + suffix()
	r.dir = filepath.Join(plan.Scope.Dir, ".slipway", "runs", r.release.ID)
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, fmt.Errorf("keep a record of the run: %w", err)
	}
	// So that nobody commits it by accident.
	ignore := filepath.Join(plan.Scope.Dir, ".slipway", ".gitignore")
	if _, err := os.Stat(ignore); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("*\n"), 0o644); err != nil {
			return nil, fmt.Errorf("keep a record of the run: %w", err)
		}
	}
	var err error
	if r.journal, err = os.Create(filepath.Join(r.dir, "journal.jsonl")); err != nil {
		return nil, fmt.Errorf("keep a record of the run: %w", err)
	}
	r.write = report.JSON(r.journal)
	return r, nil
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
func (r *record) save(res *engine.Result) error {
	r.release.Finished, r.release.Status, r.release.Steps = time.Now().UTC(), res.Status, res.Steps
	for i := range r.release.Steps {
		r.release.Steps[i].Verdicts = r.verdict[r.release.Steps[i].ID]
	}
	b, err := json.MarshalIndent(r.release, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(r.dir, ".release.json")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep a record of the run: %w", err)
	}
	return os.Rename(tmp, filepath.Join(r.dir, "release.json"))
}

func (r *record) close() { _ = r.journal.Close() }

package pipeline

import "time"

// A Release is the record of a run: what went in, what came out, and what
// became of it.
type Release struct {
	Version     int            `json:"version"` // of this format
	ID          string         `json:"id"`
	Pipeline    string         `json:"pipeline"`
	Environment string         `json:"environment,omitempty"`
	Commit      string         `json:"commit,omitempty"`
	Dirty       bool           `json:"dirty,omitempty"` // the tree had changes that no commit holds
	Started     time.Time      `json:"started"`
	Finished    time.Time      `json:"finished"`
	Status      Status         `json:"status"`
	Steps       []ReleaseStep  `json:"steps"`
	Outputs     map[string]any `json:"outputs,omitempty"`
}

// A ReleaseStep is what became of one step.
type ReleaseStep struct {
	ID       ID             `json:"id"`
	Kind     string         `json:"kind"`
	Status   Status         `json:"status"`
	Outputs  map[string]any `json:"outputs,omitempty"`
	Verdicts []Event        `json:"verdicts,omitempty"`
	Error    string         `json:"error,omitempty"`
	Elapsed  time.Duration  `json:"elapsed"`
}

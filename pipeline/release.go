package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// ReleaseVersion is the version of the format that a [Release] is written in. A
// version that is higher is not read: it may say what we would not see.
const ReleaseVersion = 1

// A Release is the record of a run: what went in, what came out, and what
// became of it. docs/releases.md describes it as JSON.
type Release struct {
	Version     int            `json:"version"` // of this format; see [ReleaseVersion]
	ID          string         `json:"id"`
	Pipeline    string         `json:"pipeline"`
	Environment string         `json:"environment,omitempty"`
	Commit      string         `json:"commit,omitempty"`
	Dirty       bool           `json:"dirty,omitempty"`   // the tree had changes that no commit holds
	Partial     bool           `json:"partial,omitempty"` // stages were left out on request: nothing promotes it
	From        string         `json:"from,omitempty"`    // the release that this run took outputs from
	Started     time.Time      `json:"started"`
	Finished    time.Time      `json:"finished"`
	Status      Status         `json:"status"`
	Steps       []ReleaseStep  `json:"steps"`
	Outputs     map[string]any `json:"outputs,omitempty"`
}

// A ReleaseStep is what became of one step. Of a build, the output key is the
// input key, and image is an [ImageRef].
type ReleaseStep struct {
	ID       ID             `json:"id"`
	Kind     string         `json:"kind"`
	Status   Status         `json:"status"`
	From     string         `json:"from,omitempty"` // the release that the outputs were taken from
	Outputs  map[string]any `json:"outputs,omitempty"`
	Verdicts []Event        `json:"verdicts,omitempty"`
	Error    string         `json:"error,omitempty"`
	Elapsed  time.Duration  `json:"elapsed"`
}

// ReadRelease reads a release as it is written by a run. What it holds comes
// from elsewhere: digests that are none are an error.
func ReadRelease(text []byte) (*Release, error) {
	var rel Release
	if err := json.Unmarshal(text, &rel); err != nil {
		return nil, fmt.Errorf("no release of slipway: %w", err)
	}
	switch {
	case rel.Version == 0 || rel.ID == "" || rel.Pipeline == "":
		return nil, fmt.Errorf("no release of slipway: it has no version, id or pipeline")
	case rel.Version > ReleaseVersion:
		return nil, fmt.Errorf("a release of version %d, of which this slipway reads up to %d (use a newer slipway)", rel.Version, ReleaseVersion)
	}
	for _, s := range rel.Steps {
		for name, v := range s.Outputs {
			image, ok := v.(map[string]any)
			if !ok || image["digest"] == nil {
				continue
			}
			ref, err := Known(v).Image(Scope{})
			if err == nil && !isDigest(ref.Digest) {
				err = fmt.Errorf("%q is no digest", ref.Digest)
			}
			if err != nil {
				return nil, fmt.Errorf("release %s, stage %s, output %s: %w", rel.ID, s.ID, name, err)
			}
			s.Outputs[name] = ref
		}
	}
	return &rel, nil
}

// Step returns what became of a step, or nil if the release has none of it.
func (r *Release) Step(id ID) *ReleaseStep {
	for i := range r.Steps {
		if r.Steps[i].ID == id {
			return &r.Steps[i]
		}
	}
	return nil
}

// Tag returns the tag under which a repository holds the release: the commit,
// followed by the environment if there is one. It is empty for a release that no
// commit stands for.
func (r *Release) Tag() string {
	if r.Commit == "" || r.Dirty {
		return ""
	}
	return ReleaseTag(r.Commit, r.Environment)
}

// ReleaseTag returns the tag of the release of a commit in an environment.
func ReleaseTag(commit, environment string) string {
	if environment == "" {
		return commit
	}
	return commit + "-" + environment
}

// Tells reports whether r says something that old does not: a run that changed
// nothing has the same outputs and verdicts as the one before it.
func (r *Release) Tells(old *Release) bool {
	bare := func(r *Release) []byte {
		c := *r
		c.ID, c.From, c.Started, c.Finished, c.Steps = "", "", time.Time{}, time.Time{}, nil
		for _, s := range r.Steps {
			s.Elapsed, s.From, s.Verdicts = 0, "", nil
			if s.Status == StatusOK {
				s.Status = StatusReused
			}
			c.Steps = append(c.Steps, s)
		}
		b, err := json.Marshal(c)
		if err != nil { // what came from JSON can go back
			return nil
		}
		return b
	}
	return !bytes.Equal(bare(r), bare(old))
}

// A StaleError says that what a run was to start from is not there, or no longer
// what it was: a release, an image of it, a saved plan.
type StaleError struct{ Err error }

func (e *StaleError) Error() string { return e.Err.Error() }
func (e *StaleError) Unwrap() error { return e.Err }

// Stalef returns a [StaleError] with a text as fmt.Errorf makes it.
func Stalef(format string, args ...any) error { return &StaleError{fmt.Errorf(format, args...)} }

// isDigest reports whether text is a digest of SHA-256, in lower case.
func isDigest(text string) bool {
	hex, ok := strings.CutPrefix(text, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

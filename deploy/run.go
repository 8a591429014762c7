package deploy

import (
	"fmt"
	"strings"
	"time"
)

// A Run is who changes a deployment, and for which commit. It is written into
// the cluster: into the Lease while the run goes on, and beside the revision
// that it made.
type Run struct {
	ID     string `json:"id"`               // of the record of the run
	By     string `json:"by"`               // user@host
	PID    int    `json:"pid,omitempty"`    // on that host
	URL    string `json:"url,omitempty"`    // where a CI system shows the run
	Commit string `json:"commit,omitempty"` // what was built; empty where there is no git
	Dirty  bool   `json:"dirty,omitempty"`  // and changes that no commit holds
}

// String returns who runs, on one line: "jan@laptop, process 7, run 2026…, https://…".
func (r Run) String() string {
	parts := []string{r.By}
	if r.PID > 0 {
		parts = append(parts, fmt.Sprintf("process %d", r.PID))
	}
	if r.ID != "" {
		parts = append(parts, "run "+r.ID)
	}
	if r.URL != "" {
		parts = append(parts, r.URL)
	}
	return strings.TrimPrefix(strings.Join(parts, ", "), ", ")
}

// A Lock is a Lease as it stands in the cluster: who changes a deployment now.
// A run that died leaves one, and until it has expired nobody can tell.
type Lock struct {
	Run   Run       `json:"run"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // when it expires, unless it is renewed
}

// Expired reports whether its holder has not renewed l for as long as it had promised to.
func (l Lock) Expired(now time.Time) bool { return !now.Before(l.Until) }

// A LockedError says that another run changes the deployment.
type LockedError struct {
	Deployment string // see [Set.String]
	Lock       Lock
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is being changed by %s, since %s (wait for that run; if it has died, run again after %s, or use slipway unlock %s)",
		e.Deployment, e.Lock.Run, clock(e.Lock.Since), clock(e.Lock.Until), e.Deployment)
}

// A LostError says that a run lost its Lease, and so had to stop: another may
// change the deployment by now.
type LostError struct {
	Deployment string
	Why        string
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the Lease of %s was lost: %s (run again: what is done is not done twice)", e.Deployment, e.Why)
}

// A Hold keeps a deployment as it is until a time.
type Hold struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// Over reports whether h no longer keeps anybody.
func (h Hold) Over(now time.Time) bool { return !now.Before(h.Until) }

// String returns h on one line: "held by jan until 2026-11-24 20:00 UTC: release freeze".
func (h Hold) String() string {
	return fmt.Sprintf("held by %s until %s: %s", h.By, clock(h.Until), h.Reason)
}

// A HeldError says that a deployment is to stay as it is.
type HeldError struct {
	Deployment string
	Hold       Hold
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is %s (slipway hold --release %s ends that)", e.Deployment, e.Hold, e.Deployment)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

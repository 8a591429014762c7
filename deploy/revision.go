package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Revision is what a deployment consisted of from one run on, and what
// became of that. Revisions are kept in the cluster, numbered from 1.
type Revision struct {
	Number   int       `json:"revision"`
	State    State     `json:"state"`
	Set      Set       `json:"set"`
	Run      Run       `json:"run"` // that applied it last
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended,omitzero"`
	Restores int       `json:"restores,omitempty"` // the revision that a rollback went back to; 0: this was none
	Wrote    []string  `json:"wrote"`              // what was written since a revision was last proven; see [Object.String]. Nil: it is not known
	Verdicts []Verdict `json:"verdicts,omitempty"`
	Cause    string    `json:"cause,omitempty"`  // why it failed, on one line
	Hidden   []string  `json:"hidden,omitempty"` // Secrets whose values are not kept; see [Object.String]
}

// A State is what is known of a revision.
type State string

// What a revision can be.
const (
	StatePending State = "pending" // its run goes on, was cancelled, or died
	StateProven  State = "proven"  // its run ended green
	StateFailed  State = "failed"
)

// Content returns a hash of what s consists of: two revisions with the same
// are the same, whoever applied them.
func (s Set) Content() string {
	type entry struct{ Key, Body string }
	var entries []entry
	for _, o := range s.Objects {
		body, err := json.Marshal(o.Body)
		if err != nil {
			body = []byte(fmt.Sprint(o.Body))
		}
		entries = append(entries, entry{o.APIVersion() + " " + o.String(), string(body)})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.Key+a.Body, b.Key+b.Body) })
	text, _ := json.Marshal([]any{s.Pipeline, s.Name, s.Environment, s.Namespace, entries}) // strings only
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// LastProven returns the newest revision that was proven and is older than
// before, or is any where before is 0; nil if there is none.
func LastProven(revisions []Revision, before int) *Revision {
	var found *Revision
	for i := range revisions {
		r := &revisions[i]
		if r.State == StateProven && (before == 0 || r.Number < before) && (found == nil || r.Number > found.Number) {
			found = r
		}
	}
	return found
}

// Find returns the revision with a number, or nil.
func Find(revisions []Revision, number int) *Revision {
	i := slices.IndexFunc(revisions, func(r Revision) bool { return r.Number == number })
	if i < 0 {
		return nil
	}
	return &revisions[i]
}

// RolledBack is the code of what says that what ran before runs again.
const RolledBack = "rolled-back"

// A RolledBackError says that a rollout failed, and that what ran before runs again.
type RolledBackError struct {
	To    int    // the revision that runs again, and is proven
	Stays string // what did not go back; empty: nothing that is known
}

func (e *RolledBackError) Error() string {
	text := fmt.Sprintf("rolled back to revision %d, which is proven again", e.To)
	if e.Stays != "" {
		text += "; not rolled back: " + e.Stays
	}
	return text
}

// Stays says what of a set no rollback can undo, from one object on: what ran
// to its end, and what holds data. It is empty for others.
func Stays(o Object) string {
	switch {
	case o.Kind() == "Job" && o.Group() == "batch":
		return o.String() + " (what it did, such as a migration, stays done)"
	case o.Kind() == "PersistentVolumeClaim" && o.Group() == "", o.Kind() == "PersistentVolume" && o.Group() == "":
		return o.String() + " (its data stays as it is)"
	case o.Kind() == "CustomResourceDefinition":
		return o.String() + " (objects stored in a newer form stay so)"
	}
	return ""
}

// Back returns the set that going back to r means. It leaves alone what cannot
// go back: Jobs, which would do again what they did, and Secrets whose values
// are not kept. The second result says so, and what else lasts.
func (r Revision) Back() (set Set, lasting []string) {
	set = r.Set
	set.Objects, set.Pins, set.Leave = nil, nil, nil
	for _, o := range r.Set.Objects {
		hidden := slices.Contains(r.Hidden, o.String())
		if stays := Stays(o); stays != "" {
			lasting = append(lasting, stays)
		} else if hidden {
			lasting = append(lasting, o.String()+" (its former value is not kept)")
		}
		if hidden || o.Kind() == "Job" && o.Group() == "batch" {
			set.Leave = append(set.Leave, o.String())
			continue
		}
		set.Objects = append(set.Objects, o)
	}
	for _, p := range r.Set.Pins {
		if !slices.Contains(set.Leave, p.Object) {
			set.Pins = append(set.Pins, p)
		}
	}
	return set, lasting
}

// Spare returns set and changes such that going back deletes nothing that holds
// data or may still be at work: that is left alone, and the third result says so.
func Spare(set Set, changes []Change) (spared Set, kept []Change, lasting []string) {
	set.Leave = slices.Clone(set.Leave)
	for _, c := range changes {
		stays := Stays(c.Object)
		if c.Object.Kind() == "Namespace" {
			stays = c.Object.String() + " (with all that is in it)"
		}
		if c.Op == Delete && stays != "" {
			set.Leave = append(set.Leave, c.Object.String())
			lasting = append(lasting, stays)
			continue
		}
		kept = append(kept, c)
	}
	return set, kept, lasting
}

package pipeline

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// SavedVersion is the version of the format of a [SavedPlan].
const SavedVersion = 1

// A SavedPlan is a plan that somebody looked at, and what it was made of: enough
// to make it again, and to see whether that is still the same. No secret is in it.
type SavedPlan struct {
	Version     int             `json:"version"` // of this format; see [SavedVersion]
	Pipeline    string          `json:"pipeline"`
	Environment string          `json:"environment,omitempty"`
	Namespace   string          `json:"namespace,omitempty"` // of --namespace
	Commit      string          `json:"commit,omitempty"`
	File        string          `json:"file"`               // sha256 over the pipeline file and those that it includes
	Vars        map[string]any  `json:"vars,omitempty"`     // but for secrets
	Secrets     []string        `json:"secrets,omitempty"`  // names of vars whose values have to be given again
	Only        []string        `json:"only,omitempty"`     //
	Skip        []string        `json:"skip,omitempty"`     //
	From        string          `json:"from,omitempty"`     // of --from
	Rendered    map[ID]string   `json:"rendered,omitempty"` // sha256 of the manifests that a step hands over
	Plan        json.RawMessage `json:"plan"`
}

// ReadSavedPlan reads a plan that was saved.
func ReadSavedPlan(text []byte) (*SavedPlan, error) {
	var s SavedPlan
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("no saved plan of slipway: %w", err)
	}
	switch {
	case s.Version == 0 || s.Pipeline == "" || s.Plan == nil:
		return nil, fmt.Errorf("no saved plan of slipway: it has no version, pipeline or plan")
	case s.Version > SavedVersion:
		return nil, fmt.Errorf("a saved plan of version %d, of which this slipway reads up to %d (use a newer slipway)", s.Version, SavedVersion)
	}
	return &s, nil
}

// planned is what of a plan says what a run does: not why, and not how it is told.
type planned struct {
	From    string `json:"from"`
	Release string `json:"release"`
	Steps   []struct {
		ID      ID             `json:"id"`
		Kind    string         `json:"kind"`
		Skip    string         `json:"skip"`
		Idle    bool           `json:"idle"`
		From    string         `json:"from"`
		After   []ID           `json:"after"`
		Outputs map[string]any `json:"outputs"`
		Effects []Effect       `json:"effects"`
	} `json:"steps"`
	Outputs map[string]any `json:"outputs"`
}

// Differences says, a line for each, what now would do that s did not, and the
// other way round.
func (s *SavedPlan) Differences(now *SavedPlan) ([]string, error) {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if s.File != now.File {
		say("the pipeline file, or one that it includes, has changed")
	}
	var old, new planned
	if err := json.Unmarshal(s.Plan, &old); err != nil {
		return nil, fmt.Errorf("the saved plan: %w", err)
	}
	if err := json.Unmarshal(now.Plan, &new); err != nil {
		return nil, err
	}
	if old.From != new.From {
		say("it starts from release %s, not %s", cmp.Or(new.From, "none"), cmp.Or(old.From, "none"))
	}
	if old.Release != new.Release {
		say("its release goes to %s, not %s", cmp.Or(new.Release, "nowhere"), cmp.Or(old.Release, "nowhere"))
	}
	at := map[ID]int{}
	for i, step := range new.Steps {
		at[step.ID] = i
	}
	seen := map[ID]bool{}
	for _, was := range old.Steps {
		i, there := at[was.ID]
		if seen[was.ID] = true; !there {
			say("%s: is no longer there", was.ID)
			continue
		}
		is := new.Steps[i]
		before := len(lines)
		for _, e := range is.Effects {
			if !slices.Contains(was.Effects, e) {
				say("%s: would now %s", was.ID, e.line())
			}
		}
		for _, e := range was.Effects {
			if !slices.Contains(is.Effects, e) {
				say("%s: would no longer %s", was.ID, e.line())
			}
		}
		if was.Skip != is.Skip {
			say("%s: skipped: %s, not %s", was.ID, cmp.Or(is.Skip, "no"), cmp.Or(was.Skip, "no"))
		}
		for _, name := range Keys(merged(was.Outputs, is.Outputs)) {
			if !reflect.DeepEqual(was.Outputs[name], is.Outputs[name]) {
				say("%s: its output %s is %v, not %v", was.ID, name, is.Outputs[name], was.Outputs[name])
			}
		}
		if s.Rendered[was.ID] != now.Rendered[was.ID] {
			say("%s: its manifests have changed", was.ID)
		}
		if len(lines) == before && !reflect.DeepEqual(was, is) {
			say("%s: would run otherwise", was.ID)
		}
	}
	for _, is := range new.Steps {
		if !seen[is.ID] {
			say("%s: is new", is.ID)
		}
	}
	if len(lines) == 0 && !reflect.DeepEqual(old, new) {
		say("its order or its outputs are not the same")
	}
	return lines, nil
}

// line is the effect on one line.
func (e Effect) line() string {
	text := e.Verb + " " + e.Object
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	if e.Diff != "" {
		text += ": " + e.Diff
	}
	return text
}

func merged(a, b map[string]any) map[string]any {
	all := map[string]any{}
	for _, m := range []map[string]any{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

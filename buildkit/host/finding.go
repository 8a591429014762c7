package host

import (
	"fmt"
	"slices"
	"strings"
)

// A State says how something stands.
type State string

// The states of a Finding.
const (
	Works   State = "works"
	Limits  State = "limits" // it does not work, and builds do all the same, with less
	Fails   State = "fails"  // nothing can be built like this
	Unknown State = "unknown"
)

// A Finding is the answer to one question.
type Finding struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Found string `json:"found"`
	Cure  string `json:"cure,omitempty"` // what to do, to be copied; empty when there is nothing to
}

// A probe judges one thing. It returns no finding for what does not matter on
// this machine.
type probe func(m Machine) (Finding, bool)

func probes() []probe {
	return []probe{
		system, privileges, namespaces, appArmor, seccomp, ids, mapTools, processes, podSecurity,
		container, overlay, cgroups, emulation, git, disk, trial,
	}
}

// Findings judges a machine. It changes nothing and asks nobody.
func (m Machine) Findings() []Finding {
	var all []Finding
	for _, p := range probes() {
		if f, ok := p(m); ok {
			all = append(all, f)
		}
	}
	return all
}

// CanBuild reports whether nothing that was found keeps it from building.
func CanBuild(all []Finding) bool {
	return !slices.ContainsFunc(all, func(f Finding) bool { return f.State == Fails })
}

func works(name, format string, args ...any) (Finding, bool) {
	return Finding{Name: name, State: Works, Found: fmt.Sprintf(format, args...)}, true
}

func (m Machine) linux() bool { return m.OS == "linux" }

// plain reports whether builds need a user namespace of their own.
func (m Machine) plain() bool { return m.linux() && !m.Admin }

func (m Machine) setting(name, value string) bool {
	got, ok := m.Settings[name]
	return ok && strings.TrimSpace(got) == value
}

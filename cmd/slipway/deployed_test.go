package main

import (
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestProvenCommit(t *testing.T) {
	revision := func(n int, state deploy.State, run deploy.Run) deploy.Revision {
		return deploy.Revision{Number: n, State: state, Run: run}
	}
	failed, pending := revision(9, deploy.StateFailed, deploy.Run{Commit: "f"}), revision(8, deploy.StatePending, deploy.Run{Commit: "p"})
	old := revision(1, deploy.StateProven, deploy.Run{Commit: "old"})
	for _, tt := range []struct {
		name      string
		revisions []deploy.Revision
		want      string // the commit, or what the error says
	}{
		{"the newest that was proven", []deploy.Revision{failed, pending, revision(7, deploy.StateProven, deploy.Run{Commit: "abc"}), old}, "abc"},
		{"none was", []deploy.Revision{failed, pending}, "has no revision that was proven (name a commit"},
		{"no git", []deploy.Revision{revision(2, deploy.StateProven, deploy.Run{}), old}, "revision 2 records no commit (deploy it once from a clone"},
		{"changes", []deploy.Revision{revision(2, deploy.StateProven, deploy.Run{Commit: "abc", Dirty: true}), old}, "revision 2, which was made of abc with changes that no commit holds (deploy a clean tree"},
	} {
		got, err := provenCommit(tt.revisions)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) || err == nil && got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

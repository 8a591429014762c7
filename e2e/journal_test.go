package e2e_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// event is what tests read of a line in a run's journal.
type event struct {
	Time                                 time.Time
	Type, Step, Task, Text, Status, Code string
	File, Cure                           string
	Line                                 int
}

// journal returns the events of the last run in dir.
func journal(t *testing.T, dir string) []event {
	t.Helper()
	runs, err := filepath.Glob(filepath.Join(dir, ".slipway/runs/*/journal.jsonl"))
	if err != nil || len(runs) == 0 {
		t.Fatalf("no journal in %s: %v", dir, err)
	}
	f, err := os.Open(runs[len(runs)-1]) // ids of runs begin with the time
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []event
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var ev event
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		all = append(all, ev)
	}
	return all
}

// verdict returns what the last run in dir says of an object, such as "Deployment shop/web".
func verdict(t *testing.T, dir, object string) event {
	t.Helper()
	var others []event
	for _, ev := range journal(t, dir) {
		if ev.Type == "verdict" && ev.Task == object {
			return ev
		}
		if ev.Type == "verdict" {
			others = append(others, ev)
		}
	}
	t.Fatalf("no verdict on %s, only %v", object, others)
	return event{}
}

package main

import (
	"testing"
	"time"
)

func TestRunID(t *testing.T) {
	began := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	last := ""
	for n := range 2000 {
		id := newRunID(began.Add(time.Duration(n) * time.Millisecond))
		if !runID().MatchString(id) || id <= last {
			t.Fatalf("after %s comes %s", last, id)
		}
		last = id
	}
}

package main

import (
	"os"
	"testing"
)

// What opens the cache of the repository is for us, and for nothing that we start.
func TestRunnersOwn(t *testing.T) {
	t.Setenv("ACTIONS_RUNTIME_TOKEN", "let-me-in")
	t.Setenv("GITHUB_ACTIONS", "true")
	env := runnersOwn()
	if token, ok := env("ACTIONS_RUNTIME_TOKEN"); token != "let-me-in" || !ok {
		t.Errorf("we see %q, %v", token, ok)
	}
	if token, ok := os.LookupEnv("ACTIONS_RUNTIME_TOKEN"); ok {
		t.Errorf("what we start sees %q", token)
	}
	if on, _ := env("GITHUB_ACTIONS"); on != "true" {
		t.Error("the rest of the environment is gone")
	}
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline/facts"
)

// TestTree packs a working tree and unpacks it elsewhere, where it has what git keeps,
// and knows its commit without git.
func TestTree(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"slipway.yaml": "slipway: v1\n", "app/run.sh": "#!/bin/sh\n", ".gitignore": "*.o\n", "app/main.o": "", ".slipway/runs/x/release.json": "{}", "gone": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "app/run.sh"), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../outside", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"init -q", "add .", "-c user.name=t -c user.email=t@example.com commit -q -m one"} {
		cmd := exec.Command("git", strings.Fields(args)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	a := &app{env: func(string) (string, bool) { return "", false }}
	packed, err := a.packTree(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.packTree(t.Context(), dir); err != nil || !bytes.Equal(packed, again) {
		t.Errorf("packed again, it is another: %v", err)
	}
	to := filepath.Join(t.TempDir(), "tree")
	if err := unpackTree(packed, to); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"slipway.yaml": true, "app/run.sh": true, "app/main.o": false, ".slipway/runs": false, ".git": false, "link": true, "gone": false} {
		if _, err := os.Lstat(filepath.Join(to, name)); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", name, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(to, "app/run.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("run.sh: %v, %v", info.Mode(), err)
	}
	known, _ := facts.Git(t.Context(), filepath.Join(to, "app"), a.env)().(map[string]any)
	if sha, _ := known["sha"].(string); len(sha) != 40 || known["dirty"] != true {
		t.Errorf("it knows of its commit: %v", known)
	}
	if _, ok := known["epoch"].(int); !ok {
		t.Errorf("epoch is a %T", known["epoch"])
	}
	if err := unpackTree(packed, to); err == nil {
		t.Error("files were overwritten")
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBring copies a program that has no library, and says of one what it lacks.
func TestBring(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, dir := t.TempDir(), t.TempDir()
	if err := copyFile(self, filepath.Join(root, "usr/bin/self")); err != nil {
		t.Fatal(err)
	}
	if err := bring(root, "usr/bin/self", dir); err != nil && !strings.Contains(err.Error(), "which no package has") && !os.IsNotExist(err) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "usr/bin/self")); err != nil {
		t.Error(err)
	}
	if _, err := find(root, "libnothing.so.1"); err == nil || !strings.Contains(err.Error(), "needs libnothing.so.1") {
		t.Errorf("of a library that is not there: %v", err)
	}
	if err := authorities(root, filepath.Join(dir, "all.crt")); err == nil {
		t.Error("there are no authorities")
	}
}

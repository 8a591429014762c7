//go:build linux

package embed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"

	"github.com/slipway-ci/slipway/buildkit"
)

// The mark is there while a solver runs, and says on which boot.
func TestUnsynced(t *testing.T) {
	s := newSolver(t)
	root := filepath.Join(s.State, "root")
	boot, err := os.ReadFile(bootID)
	if err != nil {
		t.Skip(err)
	}
	if mark, err := os.ReadFile(markOf(root)); err != nil || string(mark) != string(boot) {
		t.Errorf("while it runs the mark is %q, %v (want %q)", mark, err, boot)
	}
	if run, ok := s.run.(*local); ok && !run.disk.db.NoSync {
		t.Error("the database is synced at each commit")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(markOf(root)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
}

// What a machine that died left is not trusted, and its solver starts all the same;
// what a killed process left is.
func TestTrust(t *testing.T) {
	boot, err := os.ReadFile(bootID)
	if err != nil {
		t.Skip(err)
	}
	for _, row := range []struct {
		name, mark string
		kept       bool
	}{
		{"another boot", "4f9c1c9e-0000-0000-0000-000000000000\n", false},
		{"half a mark", "", false},
		{"this boot", string(boot), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &Solver{State: t.TempDir()}
			root := filepath.Join(s.State, "root")
			name := "native"
			if overlayutils.Supported(s.State) == nil {
				name = "overlayfs"
			}
			torn := filepath.Join(root, "runc-"+name, "containerdmeta.db")
			if err := errors.Join(os.MkdirAll(filepath.Dir(torn), 0o700), os.WriteFile(torn, []byte(strings.Repeat("torn", 4096)), 0o600), os.WriteFile(markOf(root), []byte(row.mark), 0o600)); err != nil {
				t.Fatal(err)
			}
			conn, err := s.Dial(t.Context())
			if host := new(buildkit.HostError); errors.As(err, &host) {
				t.Skip(err)
			}
			if err == nil {
				listWorkers(t, conn)
				conn.Close()
			}
			if kept := err != nil; kept != row.kept { // nothing can be made of it
				t.Errorf("kept: %t (%v), want %t", kept, err, row.kept)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Where no mark can be set, none is there, and databases are synced.
func TestNoMark(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(markOf(root)+".new", 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	if unsynced, err := trust(root); err != nil || unsynced {
		t.Errorf("unsynced %t, %v", unsynced, err)
	}
	if _, err := os.Stat(markOf(root)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark: %v", err)
	}
}

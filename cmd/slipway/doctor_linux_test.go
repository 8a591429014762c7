package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDoctorIDs asks the doctor as a plain user, who finds newuidmap or does not, and
// is lent ids or not. What it says of that, and whether it can build, is written down
// in testdata/doctor.golden; the rest is about the machine.
func TestDoctorIDs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("becomes a plain user as root alone")
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		t.Skip("needs Debian's uidmap:", err)
	}
	about := []string{"privileges", "user namespaces", "ids", "newuidmap", "trial build"}
	dir := t.TempDir()
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"slipway": string(binary), "lent": "ada:100000:65536\n", "none": "",
		"passwd": "root:x:0:0::/root:/bin/sh\nada:x:65533:65533::/:/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o755); err != nil { //nolint:gosec // one of them is run
			t.Fatal(err)
		}
	}
	var table strings.Builder
	for _, c := range []struct{ name, path, sub string }{
		{"with newuidmap", os.Getenv("PATH"), "lent"},
		{"without newuidmap", dir, "lent"},
		{"without ids", os.Getenv("PATH"), "none"},
	} {
		home := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-"))
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(home, 65533, 65533); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-c", `
mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/$2" /etc/subuid && mount --bind "$1/$2" /etc/subgid || exit 99
cd "$4" && exec setpriv --reuid 65533 --regid 65533 --clear-groups env -i HOME="$4" PATH="$3" KUBECONFIG=/none "$1/slipway" doctor --state "$4/state"`,
			"sh", dir, c.sub, c.path, home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
		fmt.Fprintf(&table, "%s\n\n", c.name)
		shown := false
		for line := range strings.Lines(string(out)) {
			if len(line) > 25 && line[0] != ' ' {
				shown = slices.Contains(about, strings.TrimSpace(line[9:25]))
			}
			if shown = shown || strings.HasPrefix(line, "images "); shown {
				table.WriteString(line)
			}
		}
		table.WriteString("\n")
	}
	compareTable(t, filepath.Join("testdata", "doctor.golden"), table.String())
}

package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// account is somebody who runs slipway, with a home of their own. This machine's files never
// name it.
type account struct {
	home  string // holds all that slipway keeps for them
	plain bool   // not our own user
	lent  bool   // a plain user to whom /etc/subuid lends a range of ids
	umask string // empty: ours
	bare  bool   // without a PATH or any other variable
}

// Ids of plain users, and of the range they are lent. Nobody else should have them.
const (
	plainID = 12345
	lentID  = 3000000
)

// ourselves is our own user in a new home.
func ourselves(t *testing.T) *account {
	t.Helper()
	return &account{home: newHome(t)}
}

// plainUser is not root; lent says whether newuidmap serves it. Only root can become one.
func plainUser(t *testing.T, lent bool) *account {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	a := &account{home: newHome(t), plain: true, lent: lent}
	if lent {
		for _, tool := range []string{"newuidmap", "newgidmap", "unshare", "setpriv"} {
			if _, err := exec.LookPath(tool); err != nil {
				t.Fatalf("%v (install uidmap and util-linux)", err)
			}
		}
		a.lend(t)
	}
	a.own(t, a.home)
	return a
}

// newHome makes a home. It is not in t.TempDir(), which others may not enter.
func newHome(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp(folder(), "account-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	for _, dir := range []string{"cache", "run", "tmp"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// write writes a tree that belongs to a.
func (a *account) write(t *testing.T, f files) string {
	t.Helper()
	dir, err := os.MkdirTemp(a.home, "checkout-")
	if err != nil {
		t.Fatal(err)
	}
	f.writeTo(t, dir)
	a.own(t, dir)
	return dir
}

// own gives a what lies in dir.
func (a *account) own(t *testing.T, dir string) {
	t.Helper()
	if !a.plain {
		return
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, plainID, plainID))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// command returns the call as a makes it.
func (a *account) command(t *testing.T, c call) *exec.Cmd {
	t.Helper()
	bin, err := publicBinary()
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{bin}, c.Args...)
	attr := &syscall.SysProcAttr{}
	switch {
	case a.lent:
		// The files that lend ids are bound over the machine's in a mount namespace of the command's own.
		const script = `mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/lent" /etc/subuid && mount --bind "$1/lent" /etc/subgid && shift &&
			exec setpriv --reuid=$0 --regid=$0 --clear-groups -- "$@"`
		argv = append([]string{"unshare", "--mount", "--propagation=private", "sh", "-c", script, fmt.Sprint(plainID), a.home}, argv...)
	case a.plain:
		attr.Credential = &syscall.Credential{Uid: plainID, Gid: plainID}
	}
	if a.umask != "" {
		argv = append([]string{"sh", "-c", `umask $0; exec "$@"`, a.umask}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = attr
	if a.bare {
		cmd.Env = append([]string{}, c.Env...)
		return cmd
	}
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + a.home, "TMPDIR=" + filepath.Join(a.home, "tmp"),
		"XDG_CACHE_HOME=" + filepath.Join(a.home, "cache"), "XDG_RUNTIME_DIR=" + filepath.Join(a.home, "run"),
	}, c.Env...)
	return cmd
}

// lend writes the files that make a known to newuidmap.
func (a *account) lend(t *testing.T) {
	t.Helper()
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"passwd": fmt.Sprintf("%s\nslipway-e2e:x:%d:%d::%s:/bin/sh\n", strings.TrimSpace(string(passwd)), plainID, plainID, a.home),
		"lent":   fmt.Sprintf("slipway-e2e:%d:65536\n", lentID),
	} {
		if err := os.WriteFile(filepath.Join(a.home, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// publicBinary is a copy of slipway that any user can reach: checkouts lie in private homes.
var publicBinary = sync.OnceValues(func() (string, error) {
	bin, err := binary("SLIPWAY_BIN", "slipway")
	if err != nil {
		return "", err
	}
	in, err := os.Open(bin)
	if err != nil {
		return "", err
	}
	defer in.Close()
	path := filepath.Join(folder(), "slipway")
	if err := os.RemoveAll(path); err != nil {
		return "", err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	return path, errors.Join(err, out.Close())
})

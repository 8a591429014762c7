package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-ci/slipway/buildkit/registry"
)

// sshTo makes ssh reach a real sshd without a network, which lets in who has a key of
// ours, and lets commands find buildctl. It returns the PATH with that ssh, and what
// sends a signal to the last sshd that was started.
func sshTo(t *testing.T, buildctl string) (path string, signal func(syscall.Signal)) {
	t.Helper()
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs root and Debian's openssh-server, which make ssh installs")
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("needs Debian's openssh-client:", err)
	}
	dir, bin, at := t.TempDir(), t.TempDir(), t.TempDir()
	for _, key := range []string{"host", "ours", "theirs"} {
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.Symlink(buildctl, filepath.Join(at, "buildctl")); err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	script := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	// sshd wants a folder in /run, which is ours alone here.
	last := filepath.Join(dir, "pid")
	script(filepath.Join(dir, "reach"), "echo $$ > "+last+"; exec unshare --mount sh -c 'mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "+sshd+" -i -f \"$1\"' sh \"$1\"\n")
	hosts, config := "", ""
	for _, host := range []struct{ name, key, path string }{
		{"builder", "ours", at + ":/usr/bin:/bin"},
		{"bare", "ours", "/usr/bin:/bin"},
		{"stranger", "theirs", "/usr/bin:/bin"},
	} {
		daemon := filepath.Join(dir, host.name)
		writeFile(t, daemon, fmt.Sprintf("HostKey %s/host\nAuthorizedKeysFile %s/ours.pub\nPermitRootLogin yes\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nSetEnv PATH=%s\n", dir, dir, host.path))
		hosts += host.name + " " + string(public)
		config += fmt.Sprintf("Host %s\n  IdentityFile %s/%s\n  ProxyCommand %s/reach %s\n", host.name, dir, host.key, dir, daemon)
	}
	writeFile(t, filepath.Join(dir, "known"), hosts)
	writeFile(t, filepath.Join(dir, "config"), config+fmt.Sprintf("Host *\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile %s/known\n  StrictHostKeyChecking yes\n", dir))
	script(filepath.Join(bin, "ssh"), "exec "+ssh+" -F "+filepath.Join(dir, "config")+" \"$@\"\n")
	return bin + ":" + os.Getenv("PATH"), func(sig syscall.Signal) {
		text, err := os.ReadFile(last)
		pid, noNumber := strconv.Atoi(strings.TrimSpace(string(text)))
		if err := errors.Join(err, noNumber); err != nil {
			t.Error(err)
			return
		}
		if err := syscall.Kill(pid, sig); err != nil {
			t.Error(err)
		}
		if sig == syscall.SIGSTOP {
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
	}
}

// A waiter keeps what is written, and does something once when there are words in it.
type waiter struct {
	words string
	do    func()
	said  bytes.Buffer
}

func (w *waiter) Write(p []byte) (int, error) {
	n, err := w.said.Write(p)
	if w.do != nil && strings.Contains(w.said.String(), w.words) {
		w.do()
		w.do = nil
	}
	return n, err
}

// TestSSH builds behind a real sshd, and says what is wrong where that does not bring
// it to a buildkitd.
func TestSSH(t *testing.T) {
	buildctl, err := filepath.Abs(filepath.Join("..", "..", "bin", "peers", "buildctl"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(buildctl); err != nil {
		t.Skip("needs BuildKit's client, which make ssh builds")
	}
	path, signal := sshTo(t, buildctl)
	socket := strings.TrimPrefix(builderFor(t), "unix://")
	srv := httptest.NewServer(&registry.Server{Dir: t.TempDir()})
	defer srv.Close()
	dir := t.TempDir()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs Debian's busybox-static:", err)
	}
	writeFile(t, filepath.Join(dir, "busybox"), string(busybox))
	writeFile(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY --chmod=755 busybox /bin/busybox\nARG SECONDS\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo it is built; /bin/busybox sleep $SECONDS\"]\n")
	writeFile(t, filepath.Join(dir, "slipway.yaml"), "slipway: v1\nname: far\nvars: {seconds: {default: \"0\"}}\nstages:\n  app:\n    build: {context: ., args: {SECONDS: \"${{ vars.seconds }}\"}, push: \""+srv.Listener.Addr().String()+"/app\"}\n")
	run := func(out *waiter, address string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "slipway", append([]string{"run", "--state", filepath.Join(t.TempDir(), "state"), "--builder", address, "--progress", "plain"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+path)
		cmd.Stdout, cmd.Stderr = out, out
		_ = cmd.Run()
		return out.said.String(), cmd.ProcessState.ExitCode()
	}
	if out, code := run(&waiter{}, "ssh://root@builder"+socket); code != 0 || !strings.Contains(out, "it is built") || !strings.Contains(out, "pushed") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	for _, test := range []struct{ address, says string }{
		{"ssh://root@builder/nowhere", "does not answer: ssh: "},
		{"ssh://root@bare" + socket, "buildctl: "},
		{"ssh://root@stranger" + socket, "Permission denied"},
		{"ssh://root@127.0.0.1:1" + socket, "Connection refused"},
	} {
		out, code := run(&waiter{}, test.address, "--rebuild")
		if code != exitCannotBuild || !strings.Contains(out, test.says) || strings.Contains(out, "Docker 18") {
			t.Errorf("%s: exit code %d, want %d and %q\n%s", test.address, code, exitCannotBuild, test.says, out)
		}
	}
	for sig, says := range map[syscall.Signal]string{
		syscall.SIGKILL: "its builder went away: ssh: ",
		syscall.SIGSTOP: "its builder went away: ssh: Timeout, server builder not responding.", // after 30 s
	} {
		out, code := run(&waiter{words: "| it is built", do: func() { signal(sig) }}, "ssh://root@builder"+socket, "--var", fmt.Sprint("seconds=", 80+int(sig)))
		if code != exitCannotBuild || !strings.Contains(out, says) {
			t.Errorf("%v in the middle: exit code %d, want %d and %q\n%s", sig, code, exitCannotBuild, says, out)
		}
	}
}

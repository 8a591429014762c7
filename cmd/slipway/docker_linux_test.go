package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startDocker starts a real engine with networks and mounts of its own, from which
// nothing leads out, and returns its address.
func startDocker(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and Debian's docker.io, which make docker installs")
	}
	dir, err := os.MkdirTemp("", "docker") //nolint:usetesting // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := "unix://" + filepath.Join(dir, "sock")
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", `
mount --make-rprivate / && mount -t tmpfs none /run && exec dockerd --data-root "$1/data" --exec-root /run/docker --pidfile /run/docker.pid \
	--host "$2" --iptables=false --ip6tables=false --bridge=none`, "sh", dir, socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	up := make(chan string)
	go func() {
		var all bytes.Buffer
		for lines := bufio.NewScanner(said); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "API listen on") {
				close(up)
				up = nil
			}
		}
		if up != nil {
			up <- all.String()
		}
	}()
	if why := <-up; why != "" {
		t.Fatalf("dockerd does not start:\n%s", why)
	}
	return socket
}

// TestDocker loads an image into a real engine, which runs it; what is there is not
// loaded again. As a builder it builds the very image, or it is said why it cannot.
func TestDocker(t *testing.T) {
	socket := startDocker(t)
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs Debian's busybox-static:", err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"slipway.yaml":   "slipway: v1\nname: docker\nstages:\n  app:\n    build: {context: app, output: [{type: docker, name: \"app:dev\"}]}\n",
		"tested.yaml":    "slipway: v1\nname: docker\nstages:\n  app:\n    build: {context: app}\n  test:\n    exec: {image: \"${{ stages.app.image }}\", command: [/bin/busybox, cat, /made]}\n",
		"app/Dockerfile": "FROM scratch\nCOPY --chmod=755 busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo it was built > /made\"]\nCMD [\"/bin/busybox\", \"cat\", \"/made\"]\n",
		"app/busybox":    string(busybox),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "DOCKER_HOST="+socket, "DOCKER_CONFIG="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			out = append(out, err.Error()...)
		}
		return string(out)
	}
	if out := run("slipway", "run", "--state", "state"); !strings.Contains(out, "run: ok") {
		t.Fatal(out)
	}
	if out := run("docker", "run", "--rm", "--network", "none", "app:dev"); out != "it was built\n" {
		t.Errorf("the engine runs: %s", out)
	}
	if out := run("slipway", "run", "--state", "state"); !strings.Contains(out, "nothing had to change") {
		t.Errorf("what is there is loaded again:\n%s", out)
	}
	if out := run("docker", "rmi", "--force", "app:dev"); !strings.Contains(out, "Untagged") {
		t.Error(out)
	}
	if out := run("slipway", "run", "--state", "state"); !strings.Contains(out, "run: ok") || strings.Contains(out, "nothing had to change") {
		t.Errorf("what was removed is not loaded again:\n%s", out)
	}
	out := run("slipway", "run", "-f", "tested.yaml", "--builder", "docker", "--state", "other", "--progress", "plain")
	if strings.Contains(run("docker", "info"), "io.containerd.snapshotter.v1") {
		if !strings.Contains(out, "it was built") || !strings.Contains(out, "run: ok") {
			t.Errorf("as a builder:\n%s", out)
		}
	} else if !strings.Contains(out, "containerd-snapshotter") {
		t.Errorf("it is not said that it cannot build:\n%s", out)
	}
}

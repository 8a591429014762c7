package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/buildkit/registry"
)

// startDocker starts a real engine with networks and mounts of its own, from which
// nothing leads out, and returns its address, and what kills it.
func startDocker(t *testing.T, dockerd string) (socket string, kill func()) {
	t.Helper()
	_, noClient := exec.LookPath("docker")
	_, noEngine := exec.LookPath(dockerd)
	if noClient != nil || noEngine != nil || os.Getuid() != 0 {
		t.Skip("needs root, Debian's docker.io and a newer engine, which make docker installs and builds")
	}
	dir, err := os.MkdirTemp("", "docker") //nolint:usetesting // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = "unix://" + filepath.Join(dir, "sock")
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", `
mount --make-rprivate / && mount -t tmpfs none /run && exec "$3" --data-root "$1/data" --exec-root /run/docker --pidfile /run/docker.pid \
	--host "$2" --iptables=false --ip6tables=false`, "sh", dir, socket, dockerd)
	// To a newer engine, Debian's client and runc are too old.
	cmd.Env = append(os.Environ(), "DOCKER_MIN_API_VERSION=1.24", "PATH="+runcOfOurs(t)+":"+os.Getenv("PATH"))
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
	return socket, func() { _ = cmd.Process.Kill() } // and all that it started
}

// runcOfOurs unpacks the runc that is inside the binary, and returns its folder.
func runcOfOurs(t *testing.T) string {
	t.Helper()
	packed, err := os.Open(filepath.Join("..", "..", "buildkit", "embed", "bin", runtime.GOARCH, "runc.gz"))
	if err != nil {
		t.Skip("needs what make runc builds:", err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	program, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "runc"), program, 0o755); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	return dir
}

// TestDocker loads an image into a real engine, which runs it; what is there is not
// loaded again. As a builder it builds the very image, or it is said why it cannot:
// Debian's engine keeps images in a store of its own, a newer one in containerd's.
func TestDocker(t *testing.T) {
	for name, dockerd := range map[string]string{"Debian's": "dockerd", "newer": filepath.Join("..", "..", "bin", "dockerd")} {
		t.Run(name, func(t *testing.T) {
			socket, kill := startDocker(t, dockerd)
			playDocker(t, socket, name == "newer", kill)
		})
	}
}

func playDocker(t *testing.T, socket string, builds bool, kill func()) {
	t.Helper()
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
	if out := run("docker", "run", "--detach", "--name", "app", "--network", "none", "app:dev"); strings.TrimSpace(run("docker", "wait", "app")) != "0" || run("docker", "logs", "app") != "it was built\n" {
		t.Errorf("the engine runs: %s%s", out, run("docker", "logs", "app"))
	}
	if out := run("docker", "rm", "app"); strings.TrimSpace(out) != "app" {
		t.Error(out)
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
	if info := run("docker", "info"); strings.Contains(info, "io.containerd.snapshotter.v1") != builds {
		t.Errorf("that it keeps images in containerd's store should be %t:\n%s", builds, info)
	}
	if !builds {
		if !strings.Contains(out, "containerd-snapshotter") {
			t.Errorf("it is not said that it cannot build:\n%s", out)
		}
		return
	}
	if !strings.Contains(out, "it was built") || !strings.Contains(out, "run: ok") {
		t.Errorf("as a builder:\n%s", out)
	}
	// Else the engine might remove it before it is run or pushed.
	if out := run("docker", "images", "--filter", "dangling=true", "--quiet"); strings.TrimSpace(out) == "" {
		t.Error("no image of the engine holds what was built")
	}
	srv := httptest.NewServer(&registry.Server{Dir: t.TempDir()})
	defer srv.Close()
	host := srv.Listener.Addr().String()
	writeFile(t, filepath.Join(dir, "pushed.yaml"), "slipway: v1\nname: docker\nstages:\n  app:\n    build: {context: app, push: {repository: "+host+"/app, tags: [dev]}}\n")
	push := func(args ...string) v1.Hash {
		t.Helper()
		out := run("slipway", append([]string{"run", "-f", "pushed.yaml", "--builder", "docker", "--state", "other", "--progress", "plain"}, args...)...)
		if !strings.Contains(out, "run: ok") {
			t.Errorf("pushing:\n%s", out)
		}
		digest, content := filesOf(t, host+"/app:dev")
		if content["made"] != "it was built\n" {
			t.Errorf("the image that was pushed has %q in /made", content["made"])
		}
		return digest
	}
	first := push()
	if out := run("docker", "builder", "prune", "--all", "--force"); !strings.Contains(out, "Total") {
		t.Error(out)
	}
	if again := push("--rebuild"); again != first {
		t.Errorf("built again of the same inputs it is %s, it was %s", again, first)
	}
	if out := run("slipway", "cache", "du", "--builder", "docker"); !strings.Contains(out, "docker: ") || strings.Contains(out, " in 0 records") {
		t.Errorf("what its cache takes: %s", out)
	}
	if out := run("slipway", "cache", "prune", "--all", "--builder", "docker"); !strings.Contains(out, "docker: removed ") {
		t.Errorf("pruning: %s", out)
	}
	writeFile(t, filepath.Join(dir, "app", "Dockerfile"), "FROM scratch\nCOPY --chmod=755 busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo it is built; /bin/busybox sleep 60\"]\n")
	cmd := exec.CommandContext(t.Context(), "slipway", "run", "-f", "pushed.yaml", "--builder", "docker", "--state", "other", "--progress", "plain")
	said := &waiter{words: "| it is built", do: kill}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), "DOCKER_HOST="+socket, "DOCKER_CONFIG="+dir), said, said
	if _ = cmd.Run(); cmd.ProcessState.ExitCode() != exitCannotBuild || !strings.Contains(said.said.String(), "its builder went away: ") {
		t.Errorf("killed in the middle: exit code %d\n%s", cmd.ProcessState.ExitCode(), &said.said)
	}
}

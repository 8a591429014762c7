package solve_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

// stateVar names the state folder for tests that run in a process of their own.
const stateVar = "SLIPWAY_TEST_STATE"

// sleepArg is how the command of TestBuildsUntilKilled is told from others.
const sleepArg = "54321.5"

func TestBuildsUntilKilled(t *testing.T) {
	state := os.Getenv(stateVar)
	if state == "" {
		t.Skip("is run by TestKilled")
	}
	spec := buildkit.Spec{Context: shellFolder(t, "RUN echo running; sleep "+sleepArg+"\n", nil)}
	_, err := builderAt(t, state).Build(t.Context(), spec, func(p buildkit.Progress) {
		if p.Log != "" {
			os.Stdout.WriteString(p.Log)
		}
	})
	t.Fatal(err)
}

// A run that is killed leaves nothing that a later one minds or keeps.
func TestKilled(t *testing.T) {
	state := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestBuildsUntilKilled$", "-test.v")
	cmd.Env = append(os.Environ(), stateVar+"="+state)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running := false
	for sc := bufio.NewScanner(out); !running && sc.Scan(); {
		running = sc.Text() == "running"
	}
	if !running {
		t.Fatal("the build did not come to its command")
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed

	t.Run("again", func(t *testing.T) {
		build(t, builderAt(t, state), buildkit.Spec{Context: shellFolder(t, "RUN true\n", nil)})
	})
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, state) {
			t.Errorf("is still mounted: %s", line)
		}
	}
	if left := processes(t, sleepArg); len(left) > 0 {
		t.Errorf("still run: %v", left)
	}
	for _, pattern := range []string{"*/runc-*/executor/*/config.json", "*/run/runc/*", "*/holder.json"} {
		if left, _ := filepath.Glob(filepath.Join(state, pattern)); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// processes returns those that have an argument.
func processes(t *testing.T, arg string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), "\x00"+arg+"\x00") {
			found = append(found, path)
		}
	}
	return found
}

// Runs on one machine take turns, and come to the same.
func TestRunsAtOnce(t *testing.T) {
	state := t.TempDir()
	var digests [3]string
	var wg sync.WaitGroup
	for i := range digests {
		wg.Go(func() {
			// A process of its own: BuildKit keeps some things by state folder for as long as it lives.
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestPrintDigest$", "-test.v")
			cmd.Env = append(os.Environ(), stateVar+"="+state)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			digests[i] = digestLine.FindString(string(out))
		})
	}
	wg.Wait()
	if digests[0] == "" || digests[1] != digests[0] || digests[2] != digests[0] {
		t.Errorf("digests: %q", digests)
	}
}

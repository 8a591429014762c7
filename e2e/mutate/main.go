// Command mutate asks whether the scenarios notice when slipway is broken. It builds slipway without
// one of its rules, or one of its guards, and runs the scenarios that are about it: some must fail.
// One after another, for each rule of the table of verdicts and each guard below.
//
//	go run ./mutate [-run REGEXP]
//
// It exits with 1 if a mutation survives, or cannot be made because the source has moved on.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	pattern := flag.String("run", "", "only mutations whose name matches this `regexp`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *pattern, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// run makes each mutation in turn, from the folder e2e, and says to out what became of it.
func run(ctx context.Context, pattern string, out io.Writer) error {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	all, err := mutations()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "slipway-mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tests := filepath.Join(dir, "e2e.test")
	// The flags are those of every other build of this module.
	if err := quiet(ctx, "", nil, "go", "test", "-trimpath", "-gcflags=all=-dwarf=false", "-c", "-o", tests, "."); err != nil {
		return err
	}
	var survived []string
	done := 0
	for _, m := range all {
		if !wanted.MatchString(m.name) {
			continue
		}
		start := time.Now()
		caught, err := m.caught(ctx, dir, tests)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if caught == "" {
			survived = append(survived, m.name)
			caught = "SURVIVED"
		}
		fmt.Fprintf(out, "%-40s %s (%s)\n", m.name, caught, time.Since(start).Round(time.Second))
		done++
	}
	if done == 0 {
		return fmt.Errorf("no mutation matches %q", pattern)
	}
	if len(survived) > 0 {
		return fmt.Errorf("%d of %d survived: %s", len(survived), done, strings.Join(survived, ", "))
	}
	fmt.Fprintf(out, "all %d were caught\n", done)
	return nil
}

// caught returns the first test that fails with a slipway that is broken by m; it is empty if none does.
func (m mutation) caught(ctx context.Context, dir, tests string) (string, error) {
	source, err := os.ReadFile(filepath.Join("..", m.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		return "", fmt.Errorf("%s holds %q %d times, want once", m.file, m.old, n)
	}
	broken, binary := filepath.Join(dir, "broken.go"), filepath.Join(dir, "slipway")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(source), m.old, m.now, 1)), 0o600); err != nil {
		return "", err
	}
	original, err := filepath.Abs(filepath.Join("..", m.file))
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: broken}})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	if err := quiet(ctx, "..", []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-overlay", list, "-o", binary, "./cmd/slipway"); err != nil {
		return "", err
	}
	err = quiet(ctx, "", []string{"SLIPWAY_BIN=" + binary}, tests, "-test.v", "-test.run", m.tests)
	var failed *failure
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &failed):
		return "", err
	}
	// The last one that failed is the innermost.
	if names := regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`).FindAllStringSubmatch(failed.output, -1); len(names) > 0 {
		return names[len(names)-1][1], nil
	}
	return "", err // such as a cluster that does not start
}

// failure is a command that ran and did not succeed.
type failure struct {
	err    error
	output string
}

func (f *failure) Error() string { return f.err.Error() + "\n" + f.output }

// quiet runs a command in dir, and says what it wrote only if it fails.
func quiet(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &failure{fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err), string(out)}
	}
	return nil
}

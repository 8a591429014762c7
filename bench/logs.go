package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// logs builds an image of which one step prints a lot, while twenty secrets are known
// and some of its lines hold one.
func logs(ctx context.Context, b *Bench) error {
	const lines, secrets = 2_000_000, 20 // of about a hundred bytes
	registry, err := b.registry(ctx)
	if err != nil {
		return err
	}
	// Without this buildkitd keeps 2 MiB of a step and drops the rest.
	if err := os.Setenv("BUILDKIT_STEP_LOG_MAX_SIZE", "-1"); err != nil {
		return err
	}
	if err := os.Setenv("BUILDKIT_STEP_LOG_MAX_SPEED", "-1"); err != nil {
		return err
	}
	peer, err := b.buildkitd(ctx, registry)
	if err != nil {
		return err
	}
	shell, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return err
	}
	var errs []error
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(b.Dir, name)
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode))
	}
	value := func(i int) string { return fmt.Sprintf("s3cret-%02d-%s", i, strings.Repeat("x", 12+i)) }
	var block, vars, refs, script, flags strings.Builder
	for i := range 100 { // one line of a hundred holds a secret
		fmt.Fprintf(&block, "%02d compiled package example.com/project/internal/part with flags -trimpath and wrote it to /out/%02d", i, i)
		if i == 50 {
			block.WriteString(" token=" + value(7))
		}
		block.WriteString("\n")
	}
	var env []string
	for i := range secrets {
		fmt.Fprintf(&vars, "  v%d: {type: secret, env: BENCH_SECRET_%d}\n", i, i)
		fmt.Fprintf(&refs, "        v%d: \"${{ vars.v%d }}\"\n", i, i)
		fmt.Fprintf(&script, " -e 's/%s/***/g'", value(i))
		fmt.Fprintf(&flags, " --secret id=v%d,env=BENCH_SECRET_%d", i, i)
		env = append(env, fmt.Sprintf("BENCH_SECRET_%d=%s", i, value(i)))
	}
	write("image/busybox", string(shell), 0o755)
	write("image/block", block.String(), 0o644)
	step := fmt.Sprintf("i=0; while [ $i -lt %d ]; do /bin/busybox cat%s; i=$((i+1)); done", lines/1000, strings.Repeat(" /block", 10))
	write("image/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\nCOPY block /block\nARG N\n"+
		fmt.Sprintf(`RUN ["/bin/busybox", "sh", "-c", %q]`, step)+"\n", 0o644)
	write("slipway.yaml", "slipway: v1\nname: logs\nvars:\n  n: {type: string}\n"+vars.String()+
		"stages:\n  image:\n    build:\n      context: image\n      args: {N: \"${{ vars.n }}\"}\n      secrets:\n"+refs.String(), 0o644)
	write("peer.sh", fmt.Sprintf("%s --addr %s build --progress plain --frontend dockerfile.v0 --local context=image --local dockerfile=image --opt build-arg:N=$(cat n) %s 2>&1 | sed %s\n",
		filepath.Join(b.Peers, "buildctl"), peer.addr, flags.String(), script.String()), 0o644)
	write("floor.sh", fmt.Sprintf("exec %s -show -n $(cat n) floor image\n", filepath.Join(b.Floor, "solve")), 0o644)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	n := 0
	next := func() error { // what was built before is in no cache
		n++
		return errors.Join(os.WriteFile(filepath.Join(b.Dir, "n"), fmt.Append(nil, n), 0o644),
			os.WriteFile(filepath.Join(b.Dir, "n.yaml"), fmt.Appendf(nil, "n: v%d\n", n), 0o644))
	}
	// Either has to show every line, and no secret; buildctl may lose one of a thousand,
	// for it was seen to lose one of two million. (Read bit by bit: the memory of this
	// process is counted to those that it starts.)
	check := func(path string, want int, hidden bool) func() error {
		return func() error {
			in, err := os.Open(path)
			if err != nil {
				return err
			}
			defer in.Close()
			got := 0
			text := bufio.NewScanner(in)
			for text.Scan() {
				if hidden && bytes.Contains(text.Bytes(), []byte(value(7))) {
					return fmt.Errorf("%s shows a secret", path)
				}
				got += bytes.Count(text.Bytes(), []byte("compiled package"))
			}
			if err := text.Err(); err != nil {
				return err
			}
			if got < want {
				return fmt.Errorf("%s has %d lines of the step (want %d)", path, got, want)
			}
			return nil
		}
	}
	ours, theirs, floor := filepath.Join(b.Dir, "ours.log"), filepath.Join(b.Dir, "theirs.log"), filepath.Join(b.Dir, "floor.log")
	s, err := b.Compare(ctx, "200 MB of log, 20 secrets", lines,
		Case{
			Name: "slipway", Dir: b.Dir, Memory: 1 << 30, Env: env, Reset: next, Stdout: ours, Check: check(ours, lines, true),
			Args: []string{"sh", "-c", `exec "$0" "$@" 2>&1`, b.Slipway, "run", "--progress", "plain", "--state", filepath.Join(b.Dir, "state"), "--var-file", "n.yaml"},
		},
		Case{Name: "buildctl, sed", Args: []string{"sh", "peer.sh"}, Dir: b.Dir, Memory: 1 << 30, Env: env, Reset: next, Stdout: theirs, Check: check(theirs, lines-lines/1000, true), Daemons: []*Daemon{peer.Daemon}},
		Case{Name: "floor: BuildKit in one process, no secrets", Args: []string{"sh", "floor.sh"}, Dir: b.Dir, Memory: 1 << 30, Reset: next, Stdout: floor, Check: check(floor, lines-lines/1000, false)})
	if err != nil {
		return err
	}
	info, err := os.Stat(theirs)
	if err != nil {
		return err
	}
	b.note("buildctl's log is %.0f MB; of secrets slipway hides eleven encodings, sed only what it is given.", float64(info.Size())/1e6)
	b.aim("CPU-seconds per 100 MB of log", s[0].cpu()/2, 1)
	b.aim("CPU, of buildctl's and sed's", s[0].cpu()/s[1].cpu(), 1)
	b.aim("CPU, of the floor's", s[0].cpu()/s[2].cpu(), 1.3)
	b.note("The step itself runs in a control group that BuildKit makes for it, and counts for nobody.")
	b.aim("peak memory, MB", s[0].peak()/1e6, 300)
	return nil
}

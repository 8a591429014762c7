//go:build linux

package embed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// tryTime is more than a namespace takes to be made.
const tryTime = 10 * time.Second

// wordNoProc is what a child that tries says where /proc cannot be mounted.
const wordNoProc = "no proc"

// Try makes a user namespace with mounts, as a build of a plain user needs one,
// and lets it go again. It returns why that cannot be done, and whether a /proc
// of its own can be mounted there.
func Try(ctx context.Context) (proc bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	var out, problem bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{childName, roleTry}
	cmd.Env = childEnv(os.Environ(), "/")
	cmd.Stdout, cmd.Stderr = &out, &problem
	cmd.SysProcAttr = way{user: true, single: true}.attributes(false)
	cmd.SysProcAttr.Pdeathsig = 0 // it ends by itself
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(problem.String()); said != "" {
			return false, fmt.Errorf("%s", said)
		}
		return false, fmt.Errorf("make a user namespace: %w", cause(err))
	}
	return !strings.Contains(out.String(), wordNoProc), nil
}

// cause takes the path of our own binary from an error of starting it.
func cause(err error) error {
	if e, ok := err.(*os.PathError); ok { //nolint:errorlint // as exec returns it
		return e.Err
	}
	return err
}

// tryMounts is what the child of Try does.
func tryMounts() error {
	if err := detachMounts(); err != nil {
		return err
	}
	if mountProc() != nil {
		_, err := io.WriteString(os.Stdout, wordNoProc)
		return err
	}
	return nil
}

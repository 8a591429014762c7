//go:build linux

package embed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// What this binary is called when it plays a part, and what it is told to do.
const (
	childName  = "slipway-solver"
	roleMapped = "mapped" // wait until user ids are mapped, then serve
	roleServe  = "serve"
	roleTry    = "try" // make a user namespace fit, and say how it went
)

// What goes over the control socket besides JSON.
const (
	wordMapped = "mapped"
	wordDial   = "dial"
)

// Files of a child.
const (
	controlFD = 3
	lockFD    = 4
)

// errNoProc reports that /proc cannot be mounted, as in a pod, where parts of it
// are hidden.
var errNoProc = errors.New("/proc cannot be mounted")

// errNoMount reports that root of a namespace may not mount in it.
var errNoMount = errors.New("mount")

// Child plays the part that this process was started for by a Solver and returns
// its exit code. It returns false at once in a process that a user started. Main
// calls it first.
func Child() (code int, isChild bool) {
	switch filepath.Base(os.Args[0]) {
	case shimName:
		return report(shim(os.Args)), true
	case childName:
		return report(child(os.Args[1:])), true
	}
	return 0, false
}

// report says an error where the parent reads it.
func report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func child(args []string) error {
	if len(args) != 1 {
		return errors.New("this name is for children of slipway")
	}
	switch args[0] {
	case roleMapped:
		return awaitMap()
	case roleServe:
		return serveParent()
	case roleTry:
		return tryMounts()
	}
	return fmt.Errorf("unknown part %q", args[0])
}

// awaitMap waits until the parent mapped our ids, and starts over: only a
// program that starts as root of a namespace has capabilities in it.
func awaitMap() error {
	buf := make([]byte, len(wordMapped))
	n, err := unix.Read(controlFD, buf)
	if err != nil {
		return fmt.Errorf("parent is gone: %w", err)
	}
	if string(buf[:n]) != wordMapped {
		return errors.New("parent is gone")
	}
	return syscall.Exec("/proc/self/exe", []string{childName, roleServe}, os.Environ())
}

// serveParent is a solver until the parent closes the control socket or dies.
func serveParent() error {
	// The change of ids made the kernel forget that we are to die with the parent.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	unix.CloseOnExec(lockFD) // is held open by us, but not by containers
	ctl, err := unixConn(os.NewFile(controlFD, "control"))
	if err != nil {
		return err
	}
	buf := make([]byte, maxPacket)
	n, err := ctl.Read(buf)
	if err != nil {
		return fmt.Errorf("parent is gone: %w", err)
	}
	var cfg config
	if err := json.Unmarshal(buf[:n], &cfg); err != nil {
		return err
	}
	srv, err := prepare(cfg)
	text, merr := json.Marshal(answerOf(err))
	if _, werr := ctl.Write(text); err != nil || merr != nil || werr != nil {
		return errors.Join(err, merr, werr)
	}
	srv.serve(&handedListener{ctl})
	return srv.close()
}

// prepare makes the namespaces fit and starts the server in them.
func prepare(cfg config) (*server, error) {
	logrus.SetLevel(logrus.ErrorLevel)
	if cfg.Debug {
		logrus.SetLevel(logrus.DebugLevel)
	}
	if err := detachMounts(); err != nil {
		return nil, err
	}
	if !cfg.NoSandbox {
		if err := mountProc(); err != nil {
			return nil, err
		}
	}
	tmp, run := os.Getenv("TMPDIR"), os.Getenv("XDG_RUNTIME_DIR")
	if err := os.RemoveAll(tmp); err != nil {
		return nil, err
	}
	for _, dir := range []string{tmp, run} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return startServer(context.Background(), cfg)
}

// detachMounts keeps what we mount from showing outside.
func detachMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("%w: %w", errNoMount, err)
	}
	return nil
}

// mountProc shows our own processes in /proc.
func mountProc() error {
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return errNoProc
	}
	return nil
}

// An answer is what a child says after it started.
type answer struct {
	Error string // empty if it serves
	Proc  bool   // it was errNoProc
	Mount bool   // it was errNoMount
}

func answerOf(err error) answer {
	if err == nil {
		return answer{}
	}
	return answer{Error: err.Error(), Proc: errors.Is(err, errNoProc), Mount: errors.Is(err, errNoMount)}
}

func (a answer) err() error {
	switch {
	case a.Error == "":
		return nil
	case a.Proc:
		return errNoProc
	case a.Mount:
		return diagnose(errors.New(a.Error))
	}
	return errors.New(a.Error)
}

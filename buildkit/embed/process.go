//go:build linux

package embed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// closeTime is how long a child may take to end by itself.
const closeTime = 10 * time.Second

// A process is a solver in a child, with the lock it stands on.
type process struct {
	cmd    *exec.Cmd
	ctl    *net.UnixConn // carries the config, an answer, then a socket for each connection
	exited <-chan error
	stderr *lastWords
	lock   *lock
}

// A way is how a child gets to be root.
type way struct {
	dir    string // within the state: ways cannot remove each other's files
	user   bool   // in a user namespace of its own
	ids    *idMap // that newuidmap puts into it
	single bool   // root is the only user there
}

// ways returns what this process can try, the better first.
func ways() []way {
	if isAdmin() { // of a user namespace that somebody made for us
		return []way{{dir: "nested", single: hasOneID()}}
	}
	one := way{dir: "single", user: true, single: true}
	if ids := findIDMap(); ids != nil {
		return []way{{dir: "rootless", user: true, ids: ids}, one}
	}
	return []way{one}
}

// startChild runs the solver in a child, the first way that works.
func (s *Solver) startChild(ctx context.Context, state string, cfg config) (running, error) {
	cfg.Rootless = true
	redirectLogs(s.Log)
	var refused error
	for _, w := range ways() {
		cfg.SingleID, cfg.Root = w.single, filepath.Join(state, w.dir)
		p, err := s.startWay(ctx, cfg, w)
		if !errors.As(err, new(*idMapError)) {
			return p, err
		}
		refused = err
		s.log().Info("going on with one user id", "reason", err)
	}
	return nil, diagnose(refused)
}

// startWay starts a child in a process namespace of its own, or without where
// that cannot be seen in /proc.
func (s *Solver) startWay(ctx context.Context, cfg config, w way) (running, error) {
	held, err := s.lock(ctx, cfg.Root)
	if err != nil {
		return nil, err
	}
	p, err := spawn(ctx, cfg, w, held, s.Log)
	if errors.Is(err, errNoProc) {
		cfg.NoSandbox = true
		p, err = spawn(ctx, cfg, w, held, s.Log)
	}
	if err != nil {
		return nil, errors.Join(err, held.release())
	}
	return p, nil
}

// spawn starts a child and returns when it serves.
func spawn(ctx context.Context, cfg config, w way, held *lock, log *slog.Logger) (_ *process, err error) {
	ours, theirs, err := socketpair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	ctl, err := unixConn(ours)
	if err != nil {
		return nil, err
	}
	p := &process{ctl: ctl, lock: held, stderr: &lastWords{log: log}}
	p.cmd = &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{childName, roleMapped},
		Env:         childEnv(os.Environ(), cfg.Root),
		Stderr:      p.stderr,
		ExtraFiles:  []*os.File{theirs, held.file},
		WaitDelay:   time.Second,
		SysProcAttr: w.attributes(cfg.NoSandbox),
	}
	if p.exited, err = start(p.cmd); err != nil {
		ctl.Close()
		return nil, diagnose(err)
	}
	defer func() {
		if err != nil {
			p.end()
		}
	}()
	if w.ids != nil {
		if err := w.ids.apply(ctx, p.cmd.Process.Pid); err != nil {
			return nil, err
		}
	}
	return p, p.greet(ctx, cfg)
}

func (w way) attributes(noSandbox bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // a Ctrl-C is for us; we tell the child
	}
	if !noSandbox {
		attr.Cloneflags |= unix.CLONE_NEWPID // when it dies, so do its containers
	}
	if w.user {
		attr.Cloneflags |= unix.CLONE_NEWUSER
	}
	if w.user && w.ids == nil {
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// start starts a command in a thread that lives as long as it does: the kernel
// sends Pdeathsig when the thread that made the child ends.
func start(cmd *exec.Cmd) (<-chan error, error) {
	started, exited := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exited <- cmd.Wait()
			close(exited)
		}
	}()
	return exited, <-started
}

// greet tells the child what to do and waits until it serves.
func (p *process) greet(ctx context.Context, cfg config) error {
	text, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.ctl.SetDeadline(time.Unix(1, 0)) })
	buf := make([]byte, maxPacket)
	n, err := p.ask([]byte(wordMapped), text, buf)
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return diagnose(p.gone(err))
	}
	var a answer
	if err := json.Unmarshal(buf[:n], &a); err != nil {
		return p.gone(err)
	}
	return a.err()
}

// ask sends two packets and reads one.
func (p *process) ask(first, second, answer []byte) (int, error) {
	for _, packet := range [][]byte{first, second} {
		if _, err := p.ctl.Write(packet); err != nil {
			return 0, err
		}
	}
	return p.ctl.Read(answer)
}

// gone explains why the child does not answer.
func (p *process) gone(err error) error {
	if words := p.stderr.String(); words != "" {
		return fmt.Errorf("the solver's process ended: %s", words)
	}
	return fmt.Errorf("the solver's process ended: %w", err)
}

// dial hands the child one end of a new pair of sockets.
func (p *process) dial(context.Context) (net.Conn, error) {
	ours, theirs, err := socketpair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := unixConn(ours)
	if err != nil {
		return nil, err
	}
	rights := unix.UnixRights(int(theirs.Fd()))
	if _, _, err := p.ctl.WriteMsgUnix([]byte(wordDial), rights, nil); err != nil {
		conn.Close()
		return nil, p.gone(err)
	}
	return conn, nil
}

func (p *process) close() error {
	p.end()
	return p.lock.release()
}

// end closes the socket, by which the child knows to end, and waits.
func (p *process) end() {
	_ = p.ctl.Close()
	timer := time.AfterFunc(closeTime, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	<-p.exited //nolint:errcheck // how it ended no longer matters
}

var _ running = (*process)(nil)

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Daemon is a server that works while cases run.
type Daemon struct {
	cmd   *exec.Cmd
	group *group
	done  chan error
	log   string
	end   sync.Once
}

// start starts a server, and waits until ready says so.
func (b *Bench) start(ctx context.Context, name string, ready func() error, args ...string) (*Daemon, error) {
	d := &Daemon{cmd: exec.CommandContext(ctx, args[0], args[1:]...), group: b.group(), done: make(chan error, 1), log: filepath.Join(b.Dir, name+".log")}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	if err := d.group.start(d.cmd); err != nil {
		return nil, err
	}
	b.daemons = append(b.daemons, d)
	go func() { d.done <- d.cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		if ready() == nil {
			return d, nil
		}
		select {
		case err := <-d.done:
			d.done <- err
			text, _ := os.ReadFile(d.log)
			return nil, fmt.Errorf("%s ended: %w: %s", name, err, text)
		case <-limit:
			return nil, fmt.Errorf("%s is not ready after 30s (its log is %s)", name, d.log)
		case <-tick.C:
		}
	}
}

// end ends all servers.
func (b *Bench) end() {
	for _, f := range b.last {
		f()
	}
	b.last = nil
	for _, d := range b.daemons {
		d.stop()
	}
	b.daemons = nil
}

// stop ends a server. That may be called again.
func (d *Daemon) stop() {
	d.end.Do(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-d.done:
			d.done <- err
		case <-time.After(20 * time.Second):
			_ = d.cmd.Process.Kill()
		}
		d.group.remove()
	})
}

// cpu is what the daemon and its children have used so far.
func (d *Daemon) cpu() time.Duration {
	if d.group != nil {
		return d.group.cpu()
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// Of utime, stime, cutime and cstime, which are hundredths of a second.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var sum time.Duration
	for _, f := range fields[11:15] {
		n, _ := strconv.Atoi(f)
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}

// free returns an address on loopback that nobody listens on.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

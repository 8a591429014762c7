package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A group is two control groups, of version 1: they sum the CPU time of processes, those
// that nobody waited for, too, and the memory that is theirs alone. It is nil where there
// can be none: then the CPU time of what was waited for counts, and no memory.
type group struct {
	name string
	do   chan func() // what its thread has to do
	gone chan struct{}
}

// Where the control groups are.
const (
	accounts = "/sys/fs/cgroup/cpuacct"
	memories = "/sys/fs/cgroup/memory"
)

func (b *Bench) group() *group {
	b.groups++
	g := &group{
		name: fmt.Sprintf("slipway-bench-%d-%s-%d", os.Getpid(), filepath.Base(b.Dir), b.groups),
		do:   make(chan func()), gone: make(chan struct{}),
	}
	joined := make(chan error, 1)
	go g.live(joined)
	if err := <-joined; err != nil {
		g.remove()
		return nil
	}
	return g
}

// live makes the control groups and keeps a thread in them until there is nothing more to
// do: a child is where the thread is that makes it, and to move a thread takes the kernel a
// while, in which nobody may make threads. (Memory is counted to the process: what the child
// has, until it is another program, is the bench's.)
func (g *group) live(joined chan<- error) {
	defer close(g.gone)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	homes, err := homes()
	if err != nil {
		joined <- err
		return
	}
	for _, of := range []string{accounts, memories} {
		if err = errors.Join(err, os.Mkdir(filepath.Join(of, g.name), 0o755)); err == nil {
			err = join(filepath.Join(of, g.name))
		}
	}
	joined <- err
	for f := range g.do {
		f()
	}
	for _, home := range homes {
		_ = join(home)
	}
}

// join moves this thread into a control group.
func join(dir string) error {
	return os.WriteFile(filepath.Join(dir, "tasks"), []byte(strconv.Itoa(syscall.Gettid())), 0o644)
}

// homes returns the control groups that this thread is in.
func homes() ([]string, error) {
	text, err := os.ReadFile("/proc/thread-self/cgroup") // ID:CONTROLLER:PATH
	if err != nil {
		return nil, err
	}
	var homes []string
	for line := range strings.Lines(string(text)) {
		for name, of := range map[string]string{":cpuacct:": accounts, ":memory:": memories} {
			if _, path, ok := strings.Cut(strings.TrimSpace(line), name); ok {
				homes = append(homes, filepath.Join(of, path))
			}
		}
	}
	return homes, nil
}

// start starts a command in the group.
func (g *group) start(cmd *exec.Cmd) error {
	if g == nil {
		return cmd.Start()
	}
	started := make(chan error)
	g.do <- func() { started <- cmd.Start() }
	return <-started
}

func (g *group) cpu() time.Duration {
	if g == nil {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(accounts, g.name, "cpuacct.usage"))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return time.Duration(n)
}

// memory is what the processes have now of heaps, stacks and the like. Pages of files,
// their programs among them, belong to nobody: how many of these a process is said to
// have depends on how the file came into memory.
func (g *group) memory() int64 {
	if g == nil {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(memories, g.name, "memory.stat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "total_rss "); ok {
			bytes, _ := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			return bytes
		}
	}
	return 0
}

// watchMemory looks at the memory of groups until peak is called, which returns the most
// that all had together.
func watchMemory(all []*group) (peak func() int64) {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		var max int64
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			var now int64
			for _, g := range all {
				now += g.memory()
			}
			if now > max {
				max = now
			}
			select {
			case <-stop:
				tick.Stop()
				most <- max
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}

// remove takes the thread out of the control groups, and these away.
func (g *group) remove() {
	if g == nil {
		return
	}
	close(g.do)
	<-g.gone
	for _, of := range []string{accounts, memories} {
		_ = os.Remove(filepath.Join(of, g.name))
	}
}

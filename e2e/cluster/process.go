package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The processes of a cluster, by the word that starts them.
const (
	controlPlane    = "control-plane"
	nodeInit        = "node"
	kubeletInstance = "kubelet"
)

// daemon is a process of the cluster that this process started and that outlives it.
type daemon struct {
	name string
	pid  int
}

// startDaemon starts one of our own words in a session of its own, with a log.
// The namespaces (CLONE_NEW…) are made for it alone.
func startDaemon(l layout, name string, namespaces uintptr) (daemon, error) {
	log, err := os.Create(l.log(name))
	if err != nil {
		return daemon{}, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return daemon{}, err
	}
	defer null.Close()
	p, err := os.StartProcess("/proc/self/exe", []string{"slipway-cluster", name, "--dir", l.dir}, &os.ProcAttr{
		Dir:   "/",
		Files: []*os.File{null, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true, Cloneflags: namespaces},
	})
	if err != nil {
		return daemon{}, fmt.Errorf("start %s: %w", name, err)
	}
	d := daemon{name, p.Pid}
	return d, p.Release()
}

// check returns an error with the end of its log once the daemon has ended.
func (d daemon) check(l layout) error {
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(d.pid, &status, syscall.WNOHANG, nil); pid != d.pid || err != nil {
		return nil
	}
	return d.died(l, status)
}

// died describes the end of a daemon, with the end of its log.
func (d daemon) died(l layout, status syscall.WaitStatus) error {
	how := fmt.Sprintf("exit code %d", status.ExitStatus())
	if status.Signaled() {
		how = status.Signal().String()
	}
	return fmt.Errorf("the %s process died (%s); the end of %s:\n%s", d.name, how, l.log(d.name), l.tail(d.name, 15))
}

// processes finds the cluster's processes by what they were called with, so that it needs no
// pid files and cannot mistake a reused pid. The keys are pids.
func processes(l layout) (map[int]string, error) {
	found := map[int]string{}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	words := []string{controlPlane, nodeInit, kubeletInstance}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		argv := bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0})
		if len(argv) != 4 || string(argv[0]) != "slipway-cluster" || string(argv[2]) != "--dir" || string(argv[3]) != l.dir {
			continue
		}
		if name := string(argv[1]); slices.Contains(words, name) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				return nil, err
			}
			found[pid] = name
		}
	}
	return found, nil
}

// killAll kills the cluster's processes and waits until they are gone, and their ports with
// them. The state is thrown away, so nobody is asked to end nicely.
func killAll(ctx context.Context, l layout) error {
	killed := map[int]bool{}
	return poll(ctx, 20*time.Millisecond, "the cluster's processes to end", func(context.Context) (bool, error) {
		left, err := processes(l)
		for pid := range left {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				return false, fmt.Errorf("kill %s (pid %d): %w", left[pid], pid, err)
			}
			killed[pid] = true
		}
		for pid := range killed {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // only if it is our own child
			if ended(pid) {
				delete(killed, pid)
			}
		}
		return len(left) == 0 && len(killed) == 0, err
	})
}

// ended reports whether a process has closed all that it had open. One that is about to end
// loses its memory first, and so its command line, and its sockets only after that; a zombie
// has neither (do_exit in Linux). But each thread ends by itself, and the first may be a
// zombie while others still hold the sockets: there has to be one thread at most
// (num_threads in proc_pid_stat(5)).
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	const state, threads = 0, 17 // of the fields after the name
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) <= threads || fields[state] != "Z" && fields[state] != "X" {
		return false
	}
	n, err := strconv.Atoi(fields[threads])
	return err == nil && n <= 1
}

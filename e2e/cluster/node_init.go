package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// nodeInitCommand is the first process of the node's PID namespace: when it ends, however it
// ends, the kernel kills everything on the node. It ends when containerd or the kubelet does.
func nodeInitCommand(ctx context.Context, args []string, _, stderr io.Writer) error {
	l, err := dirFlag(flag.NewFlagSet(nodeInit, flag.ContinueOnError), args, stderr)
	if err != nil {
		return err
	}
	s, err := loadSettings(l)
	if err != nil {
		return err
	}
	if os.Getpid() != 1 {
		return errors.New("not the first process of a PID namespace: up starts this word, you do not")
	}
	if err := mountNode(l); err != nil {
		return err
	}
	if err := writeNodeConfig(l, s); err != nil {
		return err
	}
	containerd, err := startOnNode(l, "containerd", "containerd", "--config", l.run("containerd.toml"))
	if err != nil {
		return err
	}
	startup, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("a minute has passed"))
	defer cancel()
	for _, want := range []struct{ what, network, addr string }{
		{"containerd", "unix", containerdSocket},
		{"the API server on the bridge", "tcp", s.nodeAddr(apiOffset)},
	} {
		if err := waitForListener(startup, want.what, want.network, want.addr, func() error { return containerd.check(l) }); err != nil {
			return err
		}
		if want.network == "unix" {
			if err := importPause(startup); err != nil {
				return err
			}
		}
	}
	kubelet, err := startOnNode(l, kubeletInstance, "/proc/self/exe", "--dir", l.dir)
	if err != nil {
		return err
	}
	return reap(l, containerd, kubelet)
}

// startOnNode starts a program with a log of its own. Its name is what it is called with when
// it is this same binary.
func startOnNode(l layout, name, program string, args ...string) (daemon, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return daemon{}, err
	}
	argv := append([]string{name}, args...)
	if program == "/proc/self/exe" {
		argv = append([]string{"slipway-cluster"}, argv...)
	}
	log, err := os.Create(l.log(name))
	if err != nil {
		return daemon{}, err
	}
	defer log.Close()
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Dir: "/", Env: os.Environ(), Files: []*os.File{os.Stdin, log, log}})
	if err != nil {
		return daemon{}, err
	}
	d := daemon{name, p.Pid}
	return d, p.Release()
}

func waitForListener(ctx context.Context, what, network, addr string, alive func() error) error {
	var dialer net.Dialer
	return poll(ctx, 20*time.Millisecond, what, func(ctx context.Context) (bool, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return false, alive()
		}
		return true, conn.Close()
	})
}

// reap collects every process that ends on the node, and returns when one of the daemons does.
func reap(l layout, daemons ...daemon) error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil && err != syscall.EINTR {
			return fmt.Errorf("wait: %w", err)
		}
		for _, d := range daemons {
			if d.pid == pid {
				return d.died(l, status)
			}
		}
	}
}

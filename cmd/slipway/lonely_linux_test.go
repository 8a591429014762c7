package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// linkLocal is where clouds tell credentials to whoever asks.
const linkLocal = "169.254.169.254"

// alone runs a test once more, in a process with a network of its own, from which
// nothing leads out, and with temporary files in memory. It reports whether this is
// that process.
func alone(t *testing.T, env ...string) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: a network of its own, and a solver in this process")
	}
	if os.Getenv("SLIPWAY_TEST_ALONE") == t.Name() {
		if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("none", os.TempDir(), "tmpfs", 0, "")); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", fmt.Sprintf("-test.v=%t", testing.Verbose()), fmt.Sprintf("-update=%t", *update))
	cmd.Env = append(append(os.Environ(), "SLIPWAY_TEST_ALONE="+t.Name(), "TMPDIR="+t.TempDir()), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// landing makes this machine answer at the link-local address, and returns how
// many connections were made there.
func landing(t *testing.T) *atomic.Int64 {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	up := func(name, address string) error {
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if ip := net.ParseIP(address).To4(); ip != nil {
			if err := ifr.SetInet4Addr(ip); err != nil {
				return err
			}
			if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, ifr); err != nil {
				return err
			}
		}
		ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOOPBACK)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
	}
	if err := errors.Join(up("lo", "127.0.0.1"), up("lo:1", linkLocal)); err != nil {
		t.Fatal(err)
	}
	made := new(atomic.Int64)
	for _, port := range []string{"80", "443"} {
		lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(linkLocal, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { lis.Close() })
		go func() {
			for {
				conn, err := lis.Accept()
				if err != nil {
					return
				}
				made.Add(1)
				conn.Close()
			}
		}()
	}
	return made
}

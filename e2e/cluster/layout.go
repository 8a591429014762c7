package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// layout names the files of one cluster. Everything below run is state that down removes;
// kubeconfig and logs stay.
type layout struct{ dir string }

func (l layout) kubeconfig() string { return filepath.Join(l.dir, "kubeconfig") }

func (l layout) log(name string) string { return filepath.Join(l.dir, "logs", name+".log") }

func (l layout) run(elem ...string) string {
	return filepath.Join(append([]string{l.dir, "run"}, elem...)...)
}

func (l layout) pki(file string) string { return l.run("pki", file) }

// dirFlag parses flags that must hold --dir, and returns the layout of that folder.
func dirFlag(fs *flag.FlagSet, args []string, stderr io.Writer) (layout, error) {
	fs.SetOutput(stderr)
	dir := fs.String("dir", "", "folder of the cluster")
	if err := fs.Parse(args); err != nil {
		return layout{}, err
	}
	if *dir == "" {
		return layout{}, errors.New("no --dir: name a folder for the cluster")
	}
	if fs.NArg() > 0 {
		return layout{}, fmt.Errorf("%q: takes flags only", fs.Arg(0))
	}
	abs, err := filepath.Abs(*dir)
	return layout{abs}, err
}

// errBusy is what lock returns while another up or down holds it.
var errBusy = errors.New("another up or down works there")

// lock makes up and down of one folder exclude each other until the file is closed.
func (l layout) lock() (io.Closer, error) {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", l.dir, errBusy)
	}
	return f, nil
}

// tail returns the last lines of a log, indented, for an error message.
func (l layout) tail(name string, lines int) string {
	b, err := os.ReadFile(l.log(name))
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "  " + strings.Join(all, "\n  ")
}

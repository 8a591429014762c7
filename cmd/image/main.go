// Command image lays out the files of slipway's own image: slipway, and git with
// the libraries that it needs, of Debian. There is no shell, and nothing else.
//
// # Owns
//
// What is in the image.
//
// # May touch
//
// apt-get, dpkg-deb and the folder that it fills.
package main

import (
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run returns the exit code: 0, 1 when something went wrong, 3 for wrong flags.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("o", "dist/image", "the `folder` to fill, with one for each architecture; what it holds is removed")
	from := flags.String("slipway", "dist/slipway-linux-", "where slipway is, without the architecture that its `name` ends with")
	archs := flags.String("arch", "amd64,arm64", "`architectures`, as Debian and Go call them")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return 3
	}
	err := os.RemoveAll(*dir)
	for _, arch := range strings.Split(*archs, ",") {
		if err == nil {
			err = layOut(ctx, arch, *from+arch, filepath.Join(*dir, arch))
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "image:", err)
		return 1
	}
	return 0
}

// programs are what slipway starts: git, and what it starts for URLs.
func programs() []string {
	return []string{"usr/bin/git", "usr/lib/git-core/git", "usr/lib/git-core/git-remote-http", "usr/lib/git-core/git-remote-https"}
}

// layOut fills a folder with the files of one architecture.
func layOut(ctx context.Context, arch, slipway, dir string) error {
	tmp, err := os.MkdirTemp("", "slipway-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := unpack(ctx, arch, tmp); err != nil {
		return err
	}
	if err := copyFile(slipway, filepath.Join(dir, "usr/bin/slipway")); err != nil {
		return err
	}
	root := filepath.Join(tmp, "root")
	for _, p := range programs() {
		if err := bring(root, p, dir); err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
	}
	terms, err := filepath.Glob(filepath.Join(root, "usr/share/doc/*/copyright"))
	if err != nil {
		return err
	}
	for _, from := range terms {
		if err := copyFile(from, filepath.Join(dir, "usr/share/doc", filepath.Base(filepath.Dir(from)), "copyright")); err != nil {
			return err
		}
	}
	return authorities(root, filepath.Join(dir, "etc/ssl/certs/ca-certificates.crt"))
}

// unpack downloads git and all that it depends on into the folder root below tmp. It
// has lists of packages of its own: those of this machine may be of another
// architecture.
func unpack(ctx context.Context, arch, tmp string) error {
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(tmp, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, "status"), nil, 0o644); err != nil {
		return err
	}
	apt := func(tool string, args ...string) (string, error) {
		for _, option := range []string{
			"APT::Architecture=" + arch, "APT::Architectures=" + arch, "APT::Sandbox::User=",
			"Dir::State=" + filepath.Join(tmp, "state"), "Dir::State::status=" + filepath.Join(tmp, "status"), "Dir::Cache=" + filepath.Join(tmp, "cache"),
		} {
			args = append(args, "-o", option)
		}
		return command(ctx, tmp, tool, args...)
	}
	if _, err := apt("apt-get", "update", "-qq"); err != nil {
		return err
	}
	out, err := apt("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", "git")
	if err != nil {
		return err
	}
	names := []string{"ca-certificates"}
	for line := range strings.Lines(out) {
		name := strings.TrimSpace(line)
		if name == "" || line[0] == ' ' || line[0] == '<' || strings.HasPrefix(name, "perl") || strings.HasPrefix(name, "libperl") { // git is Perl in places that nobody needs here
			continue
		}
		names = append(names, name)
	}
	if _, err := apt("apt-get", append([]string{"download", "-q"}, names...)...); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil {
		return err
	}
	for _, p := range packages {
		if _, err := command(ctx, tmp, "dpkg-deb", "-x", p, "root"); err != nil {
			return err
		}
	}
	return nil
}

func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %s", name, args[0], strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// bring copies a program or library of root to dir, with the loader and the
// libraries that it needs.
func bring(root, name, dir string) error {
	to := filepath.Join(dir, name)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	if err := copyFile(filepath.Join(root, name), to); err != nil {
		return err
	}
	f, err := elf.Open(to)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	needed, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(p.Open())
			if err != nil {
				return err
			}
			loader := strings.Trim(string(text), "\x00/")
			if err := bring(root, loader, dir); err != nil {
				return err
			}
		}
	}
	for _, library := range needed {
		found, err := find(root, library)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := bring(root, found, dir); err != nil {
			return err
		}
	}
	return nil
}

// find returns where in root a library lies.
func find(root, library string) (string, error) {
	for _, pattern := range []string{"lib/*-linux-gnu/", "usr/lib/*-linux-gnu/", "lib64/", "lib/"} {
		if found, _ := filepath.Glob(filepath.Join(root, pattern, library)); len(found) > 0 {
			return filepath.Rel(root, found[0])
		}
	}
	return "", fmt.Errorf("needs %s, which no package has", library)
}

// copyFile copies a file, or what a link leads to.
func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// authorities writes the certificates that Mozilla trusts into one file.
func authorities(root, to string) error {
	var all []byte
	err := filepath.WalkDir(filepath.Join(root, "usr/share/ca-certificates/mozilla"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, text...)
		return err
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, all, 0o644)
}

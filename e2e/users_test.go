package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// user is one of those who build. What is in ids is in /proc/self/uid_map of their commands.
type user struct {
	name string
	make func(*testing.T) *account
	ids  string
}

func users() []user {
	return []user{
		{"ourselves", ourselves, ""},
		{"plain user", func(t *testing.T) *account { return plainUser(t, true) }, fmt.Sprint(lentID)},
		{"plain user with one id", func(t *testing.T) *account { return plainUser(t, false) }, fmt.Sprint(plainID)},
	}
}

// TestSameDigest builds one tree in different ways and pushes it to different repositories.
func TestSameDigest(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	tree := appTree("COPY www /www", "WORKDIR /work", `RUN echo made > file && /bin/busybox mkdir -m 700 dir && /bin/busybox ln -s file link`)
	build := func(t *testing.T, repository, dir string, as *account) string {
		t.Helper()
		call{Dir: dir, Env: []string{"REPOSITORY=" + r.host + "/" + repository}, Args: []string{"build"}}.
			start(t, as).end(time.Minute).want(t, 0)
		return r.digest(t, repository)
	}
	we := ourselves(t)
	want := build(t, "first/app", we.write(t, tree), we)

	for _, user := range users() {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			as := user.make(t)
			if got := build(t, strings.ReplaceAll(user.name, " ", "-"), as.write(t, tree), as); got != want {
				t.Errorf("digest is %s, want %s", got, want)
			}
		})
	}
	for _, test := range []struct {
		name, umask string
		change      func(dir string) error
		differs     bool
	}{
		{name: "umask", umask: "077"},
		{name: "checkout", change: private},
		{name: "content", differs: true, change: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "app/www/a.html"), []byte("b\n"), 0o644)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			as := ourselves(t)
			as.umask = test.umask
			dir := as.write(t, tree)
			if test.change != nil {
				if err := test.change(dir); err != nil {
					t.Fatal(err)
				}
			}
			if got := build(t, test.name, dir, as); (got != want) != test.differs {
				t.Errorf("digest is %s, that of the first build %s; want them to differ: %t", got, want, test.differs)
			}
		})
	}
}

// private makes a tree such as git leaves for one whose umask is 077, long ago.
func private(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.Chmod(path, info.Mode()&^0o077); err != nil {
			return err
		}
		return os.Chtimes(path, time.Time{}, time.Unix(86400, 0))
	})
}

// TestSeccomp checks that what RUN runs is behind a filter of system calls.
func TestSeccomp(t *testing.T) {
	t.Parallel()
	for _, user := range users() {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			as, r := user.make(t), newRegistry(t)
			dir := as.write(t, appTree("RUN /bin/busybox grep ^Seccomp: /proc/self/status && /bin/busybox cat /proc/self/uid_map"))
			call{Dir: dir, Env: []string{"REPOSITORY=" + r.host + "/app"}, Args: []string{"build"}}.
				start(t, as).end(time.Minute).want(t, 0).says(t, "Seccomp:\t2\n", user.ids)
		})
	}
}

package inputs

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

const digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

const digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// tree writes a context. A name that ends in a slash is a folder, in an
// asterisk a file that may be executed, in an @ a link to its content.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, strings.TrimRight(name, "/*@"))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch last := name[len(name)-1]; {
		case err != nil:
		case last == '/':
			err = os.MkdirAll(path, 0o755)
		case last == '@':
			err = os.Symlink(files[name], path)
		case last == '*':
			err = os.WriteFile(path, []byte(files[name]), 0o755)
		default:
			err = os.WriteFile(path, []byte(files[name]), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func resolveTo(digest string) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) { return digest, nil }
}

func read(t *testing.T, spec buildkit.Spec) buildkit.Inputs {
	t.Helper()
	in, err := (&Reader{Resolve: resolveTo(digestA)}).Inputs(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func sample() map[string]string {
	return map[string]string{
		"Dockerfile":       "FROM alpine\nCOPY . /\n",
		".dockerignore":    "# what we do not need\n*.log\n",
		"main.go":          "package main\n",
		"run.sh*":          "#!/bin/sh\n",
		"pkg/a/a.go":       "package a\n",
		"pkg/b/b.go":       "package b\n",
		"current@":         "pkg/a",
		"empty/":           "",
		"noise.log":        "1\n",
		".git/HEAD":        "ref: refs/heads/main\n",
		"sub/module/.git":  "gitdir: ../../.git/modules/module\n",
		"sub/module/go.go": "package module\n",
	}
}

func TestKeyIsTheSame(t *testing.T) {
	want := read(t, buildkit.Spec{Context: tree(t, sample())}).Key
	tests := map[string]func(t *testing.T, files map[string]string) buildkit.Spec{
		"in another folder": func(t *testing.T, files map[string]string) buildkit.Spec {
			return buildkit.Spec{Context: tree(t, files)}
		},
		"through a link to the folder": func(t *testing.T, files map[string]string) buildkit.Spec {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(tree(t, files), link); err != nil {
				t.Fatal(err)
			}
			return buildkit.Spec{Context: link}
		},
		"with other times, modes and owners": func(t *testing.T, files map[string]string) buildkit.Spec {
			dir := tree(t, files)
			err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				fi, _ := d.Info()
				if fi.Mode()&os.ModeSymlink != 0 {
					return os.Lchown(path, chownTo(), chownTo())
				}
				return firstError(
					os.Chmod(path, fi.Mode()&0o700),
					os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0)),
					os.Lchown(path, chownTo(), chownTo()),
				)
			})
			if err != nil {
				t.Fatal(err)
			}
			return buildkit.Spec{Context: dir}
		},
		"with other ignored files": func(t *testing.T, files map[string]string) buildkit.Spec {
			files["noise.log"] = "2\n"
			files["more.log"] = "3\n"
			files[".git/index"] = "x"
			files["sub/module/.git"] = "gitdir: /elsewhere\n"
			return buildkit.Spec{Context: tree(t, files)}
		},
		"with a comment in .dockerignore": func(t *testing.T, files map[string]string) buildkit.Spec {
			files[".dockerignore"] = "# something else\n\n*.log\nnothing-here\n"
			return buildkit.Spec{Context: tree(t, files)}
		},
		"with the Dockerfile's own ignore file": func(t *testing.T, files map[string]string) buildkit.Spec {
			files["Dockerfile.dockerignore"] = "*.log\n"
			files[".dockerignore"] = "**\n"
			return buildkit.Spec{Context: tree(t, files)}
		},
		"with everything included by pattern": func(t *testing.T, files map[string]string) buildkit.Spec {
			return buildkit.Spec{Context: tree(t, files), Include: []string{"**"}}
		},
		"with what was the default spelled out": func(t *testing.T, files map[string]string) buildkit.Spec {
			set, err := (&Reader{}).platforms(nil)
			if err != nil {
				t.Fatal(err)
			}
			return buildkit.Spec{Context: tree(t, files), Platforms: set.wanted, Dockerfile: "Dockerfile"}
		},
		"with hard links": func(t *testing.T, files map[string]string) buildkit.Spec {
			delete(files, "pkg/b/b.go")
			files["pkg/a/a.go"] = "package b\n"
			files["pkg/b/"] = ""
			dir := tree(t, files)
			err := firstError(
				os.Link(filepath.Join(dir, "pkg/a/a.go"), filepath.Join(dir, "pkg/b/b.go")),
				os.Remove(filepath.Join(dir, "pkg/a/a.go")),
				os.WriteFile(filepath.Join(dir, "pkg/a/a.go"), []byte("package a\n"), 0o600),
				os.Link(filepath.Join(dir, "pkg/b/b.go"), filepath.Join(dir, "x.log")),
			)
			if err != nil {
				t.Fatal(err)
			}
			return buildkit.Spec{Context: dir}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			if got := read(t, change(t, sample())).Key; got != want {
				t.Errorf("got key %s, want %s", got, want)
			}
		})
	}
}

func TestKeyChanges(t *testing.T) {
	type change struct {
		files func(map[string]string)
		spec  func(*buildkit.Spec)
	}
	file := func(f func(map[string]string)) change { return change{f, func(*buildkit.Spec) {}} }
	spec := func(f func(*buildkit.Spec)) change { return change{func(map[string]string) {}, f} }
	rename := func(from, to string) change {
		return file(func(f map[string]string) { f[to] = f[from]; delete(f, from) })
	}
	set := func(name, content string) change { return file(func(f map[string]string) { f[name] = content }) }
	tests := map[string]change{
		"nothing":                set("main.go", "package main\n"),
		"content":                set("main.go", "package main \n"),
		"Dockerfile":             set("Dockerfile", "FROM alpine\nCOPY . / \n"),
		"new file":               set("new", ""),
		"new empty folder":       set("folder/", ""),
		"folder is a file":       rename("empty/", "empty"),
		"executable":             rename("main.go", "main.go*"),
		"rename":                 rename("main.go", "main2.go"),
		"move":                   rename("pkg/a/a.go", "pkg/b/a.go"),
		"link target":            set("current@", "pkg/b"),
		"link is a file":         rename("current@", "current"),
		"ignore less":            set(".dockerignore", ""),
		"ignore more":            set(".dockerignore", "*.log\nmain.go\n"),
		"target":                 spec(func(s *buildkit.Spec) { s.Target = "last" }),
		"arg":                    spec(func(s *buildkit.Spec) { s.Args = map[string]string{"A": "1"} }),
		"arg value":              spec(func(s *buildkit.Spec) { s.Args = map[string]string{"A": "2"} }),
		"args that look alike":   spec(func(s *buildkit.Spec) { s.Args = map[string]string{"A": "1A", "B": ""} }),
		"args that look alike 2": spec(func(s *buildkit.Spec) { s.Args = map[string]string{"A": "1", "AB": ""} }),
		"platform":               spec(func(s *buildkit.Spec) { s.Platforms = []string{"linux/s390x"} }),
		"two platforms":          spec(func(s *buildkit.Spec) { s.Platforms = []string{"linux/s390x", "linux/arm64"} }),
		"order of platforms":     spec(func(s *buildkit.Spec) { s.Platforms = []string{"linux/arm64", "linux/s390x"} }),
		"epoch":                  spec(func(s *buildkit.Spec) { s.Result.Epoch = 1 }),
		"secret":                 spec(func(s *buildkit.Spec) { s.Secrets = map[string]string{"npm": "x"} }),
		"secret of another id":   spec(func(s *buildkit.Spec) { s.Secrets = map[string]string{"pip": "x"} }),
		"context":                spec(func(s *buildkit.Spec) { s.Contexts = map[string]buildkit.Context{"base": {Key: "1"}} }),
		"context of another key": spec(func(s *buildkit.Spec) { s.Contexts = map[string]buildkit.Context{"base": {Key: "2"}} }),
		"context by digest": spec(func(s *buildkit.Spec) {
			s.Contexts = map[string]buildkit.Context{"base": {Image: buildkit.Image{Digest: "2"}}}
		}),
		"base digest":       spec(func(s *buildkit.Spec) { s.Bases = map[string]string{"alpine": digestB} }),
		"include":           spec(func(s *buildkit.Spec) { s.Include = []string{"pkg"} }),
		"include with .git": spec(func(s *buildkit.Spec) { s.Include = []string{"pkg", ".git"} }),
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		files := sample()
		files["Dockerfile"] = "FROM alpine AS first\nFROM alpine AS last\nCOPY . /\n"
		if name == "Dockerfile" {
			files["Dockerfile"] += "\n"
		} else {
			tests[name].files(files)
		}
		if name != "Dockerfile" && files["Dockerfile"] != "FROM alpine AS first\nFROM alpine AS last\nCOPY . /\n" {
			t.Fatal("a change of something else changed the Dockerfile")
		}
		s := buildkit.Spec{Context: tree(t, files)}
		tests[name].spec(&s)
		k := read(t, s).Key
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have the same key %s", name, other, k)
		}
		seen[k] = name
	}
}

func TestKeyIgnoresSecretValues(t *testing.T) {
	dir := tree(t, sample())
	a := read(t, buildkit.Spec{Context: dir, Secrets: map[string]string{"npm": "a"}})
	b := read(t, buildkit.Spec{Context: dir, Secrets: map[string]string{"npm": "b"}})
	if a.Key != b.Key {
		t.Errorf("the key depends on a secret's value")
	}
}

func TestCounts(t *testing.T) {
	in := read(t, buildkit.Spec{Context: tree(t, sample()), Include: []string{"pkg/**", "current"}})
	if in.Files != 3 || in.Bytes != 20 {
		t.Errorf("got %d files, %d bytes; want 3 and 20", in.Files, in.Bytes)
	}
}

// TestFrontendVersion keeps an upgrade of BuildKit from reusing images that the
// version before it built.
func TestFrontendVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "github.com/moby/buildkit" {
			if got := strings.Join(f[:2], " "); got != frontend {
				t.Errorf("go.mod has %q, the key %q: change the constant frontend", got, frontend)
			}
			return
		}
	}
	t.Error("go.mod does not name BuildKit")
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// chownTo returns an owner that files can be given: -1, which changes nothing,
// unless we are root.
func chownTo() int {
	if os.Geteuid() == 0 {
		return 4242
	}
	return -1
}

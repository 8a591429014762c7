package inputs

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

func TestImages(t *testing.T) {
	tests := []struct {
		name, dockerfile string
		spec             buildkit.Spec
		want             []string
	}{
		{"one", "FROM alpine", buildkit.Spec{}, []string{"alpine"}},
		{"scratch", "FROM scratch\nCOPY --from=scratch / /", buildkit.Spec{}, nil},
		{"stages", "FROM golang:1.26 AS build\nFROM build AS test\nFROM scratch\nCOPY --from=build /a /\nCOPY --from=0 /b /", buildkit.Spec{}, []string{"golang:1.26"}},
		{"names in any case", "FROM golang AS Build\nFROM scratch\nCOPY --from=BUILD /a /", buildkit.Spec{}, []string{"golang"}},
		{"what nothing needs", "FROM golang AS build\nFROM nginx AS other\nFROM alpine\nCOPY --from=build /a /", buildkit.Spec{}, []string{"alpine", "golang"}},
		{"target", "FROM golang AS build\nFROM alpine\nCOPY --from=nginx /a /", buildkit.Spec{Target: "Build"}, []string{"golang"}},
		{"copy from", "FROM scratch\nCOPY --from=ghcr.io/a/b:1 /a /", buildkit.Spec{}, []string{"ghcr.io/a/b:1"}},
		{"mount from", "FROM alpine\nRUN --mount=type=bind,from=busybox,target=/b --mount=type=cache,target=/c true", buildkit.Spec{}, []string{"alpine", "busybox"}},
		{"mount from a stage", "FROM alpine AS a\nFROM a\nRUN --mount=type=bind,from=a,target=/b true", buildkit.Spec{}, []string{"alpine"}},
		{"global args", "ARG V=3\nARG I=alpine:${V}\nFROM $I\nFROM ${X:-busybox}", buildkit.Spec{Target: ""}, []string{"busybox"}},
		{"args of the spec", "ARG V=3\nARG I=alpine:${V}\nFROM $I", buildkit.Spec{Args: map[string]string{"V": "4"}}, []string{"alpine:4"}},
		{"arg that is not declared", "FROM alpine${V}", buildkit.Spec{Args: map[string]string{"V": ":4"}}, []string{"alpine"}},
		{"escape directive", "# escape=`\nARG I=alpine\nFROM `\n  $I", buildkit.Spec{}, []string{"alpine"}},
		{
			"platforms", "FROM --platform=$BUILDPLATFORM golang AS b\nFROM base-${TARGETARCH}${TARGETVARIANT}\nCOPY --from=b / /",
			buildkit.Spec{Platforms: []string{"linux/amd64", "linux/arm/v7"}},
			[]string{"base-amd64", "base-armv7", "golang"},
		},
		{"named context", "FROM base\nCOPY --from=tools / /\nCOPY --from=docker.io/library/alpine:latest / /", buildkit.Spec{Contexts: map[string]buildkit.Context{"base": {Key: "1"}, "tools": {Key: "2"}, "alpine": {Key: "3"}}}, nil},
		{"named context in a stage's place", "FROM golang AS base\nCOPY --from=x / /\nFROM base", buildkit.Spec{Contexts: map[string]buildkit.Context{"base": {Key: "1"}}}, nil},
		{"by digest", "FROM alpine:3@" + digestB, buildkit.Spec{}, []string{"alpine:3@" + digestB}},
		{"frontend", "# syntax=docker/dockerfile:1\nFROM alpine", buildkit.Spec{}, []string{"alpine"}},
		{"frontend that is allowed", "# syntax=docker/dockerfile:1\nFROM alpine", buildkit.Spec{Allow: []string{"docker/dockerfile:1"}}, []string{"alpine", "docker/dockerfile:1"}},
		{"heredoc", "FROM alpine\nRUN <<EOT\nFROM nginx\nEOT\nCOPY <<x /y\nFROM nginx\nx", buildkit.Spec{}, []string{"alpine"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Context = tree(t, map[string]string{"Dockerfile": tt.dockerfile + "\n"})
			in := read(t, tt.spec)
			if got := slices.Sorted(maps.Keys(in.Bases)); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestBasesAreLookedUpOnce(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	r := Reader{Resolve: func(_ context.Context, ref string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, ref)
		return digestA, nil
	}}
	in, err := r.Inputs(t.Context(), buildkit.Spec{
		Context: tree(t, map[string]string{"Dockerfile": "FROM a AS x\nFROM b@" + digestB + " AS y\nFROM c AS z\nFROM a\nCOPY --from=x / /\nCOPY --from=y / /\nCOPY --from=z / /\n"}),
		Bases:   map[string]string{"c": digestB, "unused": digestB},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(asked, []string{"a"}) {
		t.Errorf("asked for %q, want a alone", asked)
	}
	want := map[string]string{"a": digestA, "b@" + digestB: digestB, "c": digestB}
	if !maps.Equal(in.Bases, want) {
		t.Errorf("got %v, want %v", in.Bases, want)
	}
}

func TestDockerfileErrors(t *testing.T) {
	tests := []struct {
		name, dockerfile string
		line             int
		want             string
	}{
		{"empty", "", 1, "file with no instructions"},
		{"unknown instruction", "FROM alpine\n\nRUNN true\n", 3, "unknown instruction: RUNN"},
		{"unknown flag", "FROM alpine\nCOPY --form=x a b\n", 2, "unknown flag: --form"},
		{"no FROM", "ARG A=1\n", 1, "no FROM"},
		{"before FROM", "RUN true\nFROM alpine\n", 1, "no build stage in current context"},
		{"heredoc without end", "FROM alpine\nRUN <<EOT\ntrue\n", 2, "unterminated heredoc"},
		{"blank FROM", "ARG A\nFROM $A\n", 2, "names no image (give its ARG a value)"},
		{"bad variable", "FROM alpine\nFROM ${A\n", 2, "failed to process"},
		{"bad reference", "FROM Alpine:3\n", 1, "must be lowercase"},
		{"variable in --from", "ARG A\nFROM scratch\nCOPY --from=$A / /\n", 3, "--from takes no variables"},
		{"no such stage", "FROM scratch\nCOPY --from=3 / /\n", 2, "there are 1 stages"},
		{"unknown base", "FROM scratch AS a\nFROM scratch\n\nCOPY --from=gone / /\n", 4, "base image gone: nothing of that name"},
	}
	nothing := errors.New("nothing of that name")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Reader{Resolve: func(context.Context, string) (string, error) { return "", nothing }}
			_, err := r.Inputs(t.Context(), buildkit.Spec{
				Context:    tree(t, map[string]string{"api/Dockerfile": tt.dockerfile}),
				Dockerfile: "api/Dockerfile",
			})
			var se *buildkit.SolveError
			if !errors.As(err, &se) {
				t.Fatalf("got %T %v, want a SolveError", err, err)
			}
			if se.File != "api/Dockerfile" || se.Line != tt.line || !strings.Contains(se.Err.Error(), tt.want) {
				t.Errorf("got %s:%d: %v; want line %d: %s", se.File, se.Line, se.Err, tt.line, tt.want)
			}
			if lines := strings.Split(tt.dockerfile, "\n"); se.Source != lines[tt.line-1] {
				t.Errorf("got source %q, want %q", se.Source, lines[tt.line-1])
			}
		})
	}
}

func TestWhatIsMissing(t *testing.T) {
	dir := tree(t, map[string]string{"sub/file": "FROM scratch\n", "folder/Dockerfile/": "", "link@": "/etc/passwd", "bad/Dockerfile": "FROM scratch", "bad/.dockerignore": "a[\n"})
	tests := []struct {
		name string
		spec buildkit.Spec
		is   error
		want string
	}{
		{"context", buildkit.Spec{Context: filepath.Join(dir, "gone")}, buildkit.ErrNoContext, "(set context: to the folder that is sent)"},
		{"context is a file", buildkit.Spec{Context: filepath.Join(dir, "sub/file")}, buildkit.ErrNoContext, "is a file"},
		{"context is relative", buildkit.Spec{Context: "sub"}, buildkit.ErrNoContext, "not absolute"},
		{"Dockerfile", buildkit.Spec{Context: dir}, buildkit.ErrNoDockerfile, "no Dockerfile in " + dir + " (set dockerfile: to its path)"},
		{"named Dockerfile", buildkit.Spec{Context: dir, Dockerfile: "gone"}, buildkit.ErrNoDockerfile, "no Dockerfile gone in " + dir},
		{"Dockerfile is a folder", buildkit.Spec{Context: filepath.Join(dir, "folder")}, buildkit.ErrNoDockerfile, "no file"},
		{"Dockerfile lies outside", buildkit.Spec{Context: filepath.Join(dir, "folder"), Dockerfile: "../sub/file"}, buildkit.ErrNoDockerfile, "is a file within the context"},
		{"Dockerfile leads outside", buildkit.Spec{Context: dir, Dockerfile: "link"}, buildkit.ErrNoDockerfile, "is a file within the context"},
		{"target", buildkit.Spec{Context: dir, Dockerfile: "sub/file", Target: "x"}, ErrNoTarget, `no stage "x" in sub/file`},
		{"platform", buildkit.Spec{Context: dir, Dockerfile: "sub/file", Platforms: []string{"a/b/c/d"}}, nil, "not like linux/amd64"},
		{"include pattern", buildkit.Spec{Context: dir, Dockerfile: "sub/file", Include: []string{"a["}}, nil, `include: pattern "a["`},
		{"ignore pattern", buildkit.Spec{Context: filepath.Join(dir, "bad")}, nil, `.dockerignore pattern "a["`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := (&Reader{}).Inputs(t.Context(), tt.spec)
			if err == nil || (tt.is != nil && !errors.Is(err, tt.is)) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %v with %q", err, tt.is, tt.want)
			}
		})
	}
}

func TestNoResolver(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM alpine\n"})
	_, err := (&Reader{}).Inputs(t.Context(), buildkit.Spec{Context: dir})
	if !errors.Is(err, ErrNoResolver) {
		t.Errorf("got %v, want %v", err, ErrNoResolver)
	}
}

func TestLinkedDockerfile(t *testing.T) {
	dir := tree(t, map[string]string{"a/Dockerfile": "FROM scratch\n", "Dockerfile@": "a/Dockerfile"})
	before := read(t, buildkit.Spec{Context: dir, Include: []string{"nothing"}})
	if err := os.WriteFile(filepath.Join(dir, "a/Dockerfile"), []byte("FROM scratch\n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if after := read(t, buildkit.Spec{Context: dir, Include: []string{"nothing"}}); after.Key == before.Key {
		t.Error("the key does not follow the Dockerfile")
	}
	if _, err := os.Stat(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

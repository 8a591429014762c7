package solve_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

func failingDial(err error) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) { return nil, err }
}

func TestSolveError(t *testing.T) {
	b := newBuilder(t)
	tests := []struct {
		name, lines string
		line        int
		source, log string
		want        string
	}{
		{"unknown instruction", "FORM x\n", 5, "FORM x", "", "unknown instruction: FORM"},
		{"command fails", "\nRUN echo before; \\\n  exit 7\n", 6, "RUN echo before; \\", "before", "exit code: 7"},
		{"no such file", "COPY nothing /\n", 5, "COPY nothing /", "", `"/nothing": no such file to copy`},
		{"no such stage", "COPY --from=nobody. /a /\n", 5, "COPY --from=nobody. /a /", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shellFolder(t, "", map[string]string{"sub/Dockerfile": baseDockerfile + tt.lines})
			_, err := b.Build(t.Context(), buildkit.Spec{Context: dir, Dockerfile: "sub/Dockerfile"}, nil)
			var got *buildkit.SolveError
			if !errors.As(err, &got) {
				t.Fatalf("error: %#v", err)
			}
			if got.File != "sub/Dockerfile" || got.Line != tt.line || got.Source != tt.source {
				t.Errorf("at %s:%d %q, want line %d %q", got.File, got.Line, got.Source, tt.line, tt.source)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: %v, want %q", err, tt.want)
			}
			if tt.log != "" && (!slices.Contains(got.Log, tt.log) || !strings.Contains(got.Vertex, "RUN echo")) {
				t.Errorf("log of %q: %q", got.Vertex, got.Log)
			}
			t.Log(err)
		})
	}
}

func TestRegistryError(t *testing.T) {
	b := newBuilder(t)
	status := http.StatusNotFound
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, code := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusInternalServerError, 0} {
		if status = code; code == 0 {
			srv.Close()
		}
		dir := folder(t, map[string]string{"Dockerfile": "FROM " + host + "/some/base:1\nCOPY . .\n"})
		_, err := b.Build(t.Context(), buildkit.Spec{Context: dir}, nil)
		var reg *buildkit.RegistryError
		if !errors.As(err, &reg) || reg.Host != host || reg.Ref != host+"/some/base:1" {
			t.Errorf("%d: %v (%#v)", code, err, reg)
		}
		if errors.Is(err, buildkit.ErrNotFound) != (code == http.StatusNotFound) {
			t.Errorf("%d: not found: %v", code, err)
		}
		var at *buildkit.SolveError
		if !errors.As(err, &at) || at.Line != 1 {
			t.Errorf("%d: line %#v", code, at)
		}
		t.Log(err)
	}
}

func TestWarning(t *testing.T) {
	b := newBuilder(t)
	_, r := build(t, b, buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch AS Upper\nCOPY Dockerfile /\nENV a b\n"})})
	var lines []int
	for _, p := range r.seen {
		if p.Warning != nil {
			lines = append(lines, p.Warning.Line)
			if p.Warning.File != "Dockerfile" || p.Warning.URL == "" || p.Warning.Text == "" {
				t.Errorf("warning: %+v", p.Warning)
			}
		}
	}
	if slices.Sort(lines); !slices.Equal(lines, []int{1, 3}) {
		t.Errorf("warnings on lines %v, want 1 and 3", lines)
	}
}

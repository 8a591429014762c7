package solve_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/embed"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

// TestMain lets this binary be the children of its own solvers, and what signs in a
// build of TestSSH.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == signer {
		if err := sign(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if code, ok := embed.Child(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// newBuilder starts a solver with a state folder of its own.
func newBuilder(t *testing.T) *solve.Builder {
	t.Helper()
	return builderAt(t, t.TempDir())
}

func builderAt(t *testing.T, state string) *solve.Builder {
	t.Helper()
	return builderOn(t, &embed.Solver{State: state, Entitlements: []string{"security.insecure"}})
}

func builderOn(t *testing.T, solver *embed.Solver) *solve.Builder {
	t.Helper()
	if os.Getenv("SLIPWAY_TEST_LOG") != "" {
		solver.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b := &solve.Builder{Dial: solver.Dial, Auth: nobody}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := solver.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func nobody(context.Context, string) (solve.Credentials, error) { return solve.Credentials{}, nil }

// busybox returns a static shell to build images from nothing.
func busybox(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs Debian's busybox-static:", err)
	}
	return string(data)
}

// baseDockerfile makes an image with a shell and its tools.
const baseDockerfile = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install /bin"]
ENV PATH=/bin
`

// folder writes files, by path, into a new folder. A name that ends in "!" is executable.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if n, ok := strings.CutSuffix(name, "!"); ok {
			name, mode = n, 0o755
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shellFolder adds a shell, a Dockerfile that starts from it, and the lines.
func shellFolder(t *testing.T, lines string, files map[string]string) string {
	t.Helper()
	all := map[string]string{"busybox!": busybox(t), "Dockerfile": baseDockerfile + lines}
	maps.Copy(all, files)
	return folder(t, all)
}

// A record keeps what was watched.
type record struct {
	mu   sync.Mutex
	seen []buildkit.Progress
}

func (r *record) watch(p buildkit.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, p)
}

func (r *record) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out strings.Builder
	for _, p := range r.seen {
		out.WriteString(p.Log)
	}
	return out.String()
}

func build(t *testing.T, b *solve.Builder, spec buildkit.Spec) (buildkit.Image, *record) {
	t.Helper()
	var r record
	img, err := b.Build(t.Context(), spec, r.watch)
	if err != nil {
		t.Fatalf("build: %v\n%s", err, r.log())
	}
	return img, &r
}

func read(t *testing.T, b *solve.Builder, digest string) string {
	t.Helper()
	r, err := b.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

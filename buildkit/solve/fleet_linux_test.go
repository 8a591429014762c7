package solve_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/embed"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

// TestServesBuilds is a buildkitd on a unix socket until it is killed.
func TestServesBuilds(t *testing.T) {
	state := os.Getenv(stateVar)
	if state == "" {
		t.Skip("is run by the tests of a fleet")
	}
	solver := &embed.Solver{State: state}
	lis, err := net.Listen("unix", filepath.Join(state, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := solver.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	fmt.Println("serving")
	for {
		in, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		out, err := solver.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go join(in, out)
	}
}

// join copies both ways until one side ends.
func join(a, b net.Conn) {
	go func() { _, _ = io.Copy(a, b); a.Close() }()
	_, _ = io.Copy(b, a)
	b.Close()
}

// A remote is a buildkitd in a process of its own.
type remote struct {
	*solve.Member
	cmd *exec.Cmd
}

func newRemote(t *testing.T, platform string) *remote {
	t.Helper()
	state, err := os.MkdirTemp("", "fleet") //nolint:usetesting // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestServesBuilds$")
	cmd.Env = append(os.Environ(), stateVar+"="+state)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &remote{cmd: cmd}
	t.Cleanup(func() {
		r.kill()
		left := embed.Solver{State: state} // sweeps mounts and containers
		if conn, err := left.Dial(context.Background()); err == nil {
			conn.Close()
		}
		left.Close()
	})
	if sc := bufio.NewScanner(out); !sc.Scan() || sc.Text() != "serving" {
		t.Fatalf("it does not serve: %q", sc.Text())
	}
	address := "unix://" + filepath.Join(state, "sock")
	dial, err := solve.Dial(address, solve.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	r.Member = &solve.Member{Name: address, Platform: platform, Builder: &solve.Builder{Dial: dial, Auth: nobody}}
	return r
}

func (r *remote) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func newFleet(t *testing.T, remotes ...*remote) *solve.Fleet {
	t.Helper()
	f := &solve.Fleet{}
	for _, r := range remotes {
		f.Members = append(f.Members, r.Member)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// readImage reads all that an image names.
func readImage(ctx context.Context, t *testing.T, b interface {
	Open(context.Context, string) (io.ReadCloser, error)
}, digest string,
) {
	t.Helper()
	r, err := b.Open(ctx, digest)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	for _, part := range strings.Split(string(text), `"digest": "`)[1:] {
		r, err := b.Open(ctx, part[:71])
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Error(err)
		}
		r.Close()
	}
}

// Of forty builds, of which half stand on others, none is lost when a builder
// is killed in the middle.
func TestFleetLosesNothing(t *testing.T) {
	remotes := []*remote{newRemote(t, ""), newRemote(t, "")}
	f := newFleet(t, remotes...)
	const services = 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	warned, done := 0, 0
	limit := make(chan struct{}, 6)
	for i := range services {
		base := folder(t, map[string]string{fmt.Sprintf("base%d/Dockerfile", i): "FROM scratch\nCOPY file /file\n", fmt.Sprintf("base%d/file", i): fmt.Sprint(i)})
		top := folder(t, map[string]string{fmt.Sprintf("top%d/Dockerfile", i): "FROM base\nCOPY more /more\n", fmt.Sprintf("top%d/more", i): fmt.Sprint(i)})
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			watch := func(p buildkit.Progress) {
				if p.Warning != nil && strings.Contains(p.Warning.Text, "went away") {
					mu.Lock()
					warned++
					mu.Unlock()
				}
			}
			first, err := f.Build(t.Context(), buildkit.Spec{Context: filepath.Join(base, fmt.Sprintf("base%d", i))}, watch)
			if err != nil {
				t.Errorf("base %d: %v", i, err)
				return
			}
			mu.Lock()
			if done++; done == services/2 {
				remotes[0].kill()
			}
			mu.Unlock()
			img, err := f.Build(t.Context(), buildkit.Spec{
				Context:  filepath.Join(top, fmt.Sprintf("top%d", i)),
				Contexts: map[string]buildkit.Context{"base": {Image: first}},
			}, watch)
			if err != nil {
				t.Errorf("top %d: %v", i, err)
				return
			}
			readImage(t.Context(), t, f, img.Digest)
		})
	}
	wg.Wait()
	if warned == 0 {
		t.Error("nothing was said of the builder that went away")
	}
	remotes[1].kill()
	_, err := f.Build(t.Context(), buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch\n"})}, nil)
	if !errors.As(err, new(*buildkit.HostError)) {
		t.Errorf("with no builder left: %v", err)
	}
}

// The same context goes to the same builder, whatever folder it lies in.
func TestFleetPlaces(t *testing.T) {
	remotes := []*remote{newRemote(t, ""), newRemote(t, "")}
	counts := map[string]int{}
	for i := range 8 {
		at := map[string]bool{}
		for range 2 {
			f := newFleet(t, remotes...)
			dir := folder(t, map[string]string{fmt.Sprintf("app%d/Dockerfile", i): fmt.Sprintf("FROM scratch\nLABEL n=%d\n", i)})
			img, err := f.Build(t.Context(), buildkit.Spec{Context: filepath.Join(dir, fmt.Sprintf("app%d", i))}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range remotes {
				if ok, err := r.Has(t.Context(), img.Digest); err != nil {
					t.Fatal(err)
				} else if ok {
					at[r.Name] = true
					counts[r.Name]++
				}
			}
		}
		if len(at) != 1 {
			t.Errorf("app%d was built on %v", i, at)
		}
	}
	if len(counts) > 2 || len(counts) == 0 {
		t.Errorf("placement: %v", counts)
	}
}

// Platforms on two builders become the index that one builder makes.
func TestFleetJoinsPlatforms(t *testing.T) {
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", "amd64": "a", "arm64": "b"})
	spec := buildkit.Spec{Context: dir, Platforms: []string{"linux/arm64", "linux/amd64"}}
	amd, arm := newRemote(t, "linux/amd64"), newRemote(t, "linux/arm64")
	f := newFleet(t, amd, arm)
	img, err := f.Build(t.Context(), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := amd.Build(t.Context(), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	if img.Digest != alone.Digest {
		t.Errorf("joined %s, by one builder %s", img.Digest, alone.Digest)
	}
	if ok, err := f.Has(t.Context(), img.Digest); err != nil || !ok {
		t.Errorf("Has = %v, %v", ok, err)
	}
	readImage(t.Context(), t, f, img.Digest)
	if ok, err := arm.Has(t.Context(), img.Digest); err != nil || ok {
		t.Errorf("the builder for arm64 holds all of it: %v, %v", ok, err)
	}
}

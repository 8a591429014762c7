package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/tonistiigi/fsutil"
)

// list returns what our walk visits, one line each.
func list(t *testing.T, spec buildkit.Spec) []string {
	t.Helper()
	root, err := openContext(spec.Context)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	filter, err := newFilter(root, spec)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	w := walker{filter: filter, visit: func(_ context.Context, f file) error {
		got = append(got, fmt.Sprintf("%v %s %s", f.mode, f.path, f.link))
		return nil
	}}
	if err := w.walk(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	return got
}

// listSent returns what BuildKit's own sender visits, for the same patterns.
func listSent(t *testing.T, spec buildkit.Spec, ignore []string) []string {
	t.Helper()
	include, exclude := spec.Filter(ignore)
	tree, err := fsutil.NewFS(spec.Context)
	if err == nil {
		tree, err = fsutil.NewFilterFS(tree, &fsutil.FilterOpt{IncludePatterns: include, ExcludePatterns: exclude})
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = tree.Walk(t.Context(), "", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		link := ""
		if fi.Mode()&fs.ModeSymlink != 0 {
			link = fi.(*fsutil.StatInfo).Linkname
		}
		got = append(got, fmt.Sprintf("%v %s %s", buildkit.NormalMode(fi.Mode()), filepath.ToSlash(path), link))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestWalkIsTheSenders holds our walk to the one that BuildKit's client does,
// over trees and patterns by chance.
func TestWalkIsTheSenders(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	words := []string{"a", "b", "ab", "a.b", "node_modules", ".git", "x.go", "[b]", "ü"}
	word := func() string { return words[rnd.IntN(len(words))] }
	patterns := func(n int) (out []string) {
		for range n {
			var parts []string
			for range 1 + rnd.IntN(3) {
				parts = append(parts, []string{word(), word(), word(), "*", "**", "a*", "?b", "*.go", "[ab]"}[rnd.IntN(9)])
			}
			p := strings.Join(parts, "/")
			if rnd.IntN(4) == 0 {
				p = "!" + p
			}
			out = append(out, p)
		}
		return out
	}
	for range 200 {
		files := map[string]string{}
		for range 30 {
			var parts []string
			for range 1 + rnd.IntN(4) {
				parts = append(parts, word())
			}
			name := strings.Join(parts, "/")
			if !clashes(files, name) {
				files[name+[]string{"", "", "*", "/", "@"}[rnd.IntN(5)]] = "x"
			}
		}
		ignore := patterns(rnd.IntN(4))
		files[".dockerignore"] = strings.Join(ignore, "\n")
		spec := buildkit.Spec{Context: tree(t, files), Include: patterns(rnd.IntN(4))}
		got, want := list(t, spec), listSent(t, spec, ignore)
		if !slices.Equal(got, want) {
			t.Fatalf("include %q, ignore %q, files %q:\ngot  %q\nwant %q", spec.Include, ignore, files, got, want)
		}
	}
}

func clashes(files map[string]string, name string) bool {
	for have := range files {
		have = strings.TrimRight(have, "/*@")
		if have == name || strings.HasPrefix(have, name+"/") || strings.HasPrefix(name, have+"/") {
			return true
		}
	}
	return false
}

// TestBadPatterns has the pattern that is at fault named, before anything is walked; and of
// random patterns none gets by that fails later.
func TestBadPatterns(t *testing.T) {
	for _, p := range []string{"!", "[", "a[", "[z-a]*", `b\`, "![x", `!\y`, `![\y]`, "**/[b-a]"} {
		_, err := compile("include:", []string{"good", p, "*"})
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(p)) {
			t.Errorf("%q: got %v", p, err)
		}
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	signs := []rune(`ab/.*?[]\!^-${}()+|, é`)
	for range 20000 {
		text := make([]rune, 1+rnd.IntN(6))
		for i := range text {
			text[i] = signs[rnd.IntN(len(signs))]
		}
		for _, before := range [][]string{nil, {"**"}} { // an exception counts where something matched
			m, err := compile("", append(before, string(text)))
			if err != nil {
				continue
			}
			if _, err := m.MatchesOrParentMatches("a/b"); err != nil {
				t.Fatalf("%q: %v", string(text), err)
			}
		}
	}
}

func TestWalkDoesNotEnterWhatIsIgnored(t *testing.T) {
	for _, spec := range []buildkit.Spec{
		{Include: []string{"src/**", "*.mod"}},
		{Include: []string{"src"}},
	} {
		spec.Context = tree(t, map[string]string{"src/a.go": "", "go.mod": "", "node_modules/a/b.js": ""})
		root, err := openContext(spec.Context)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		f, err := newFilter(root, spec)
		if err != nil {
			t.Fatal(err)
		}
		// "*.mod" could be a folder's name, but its fixed part leads nowhere.
		if want := slices.Contains(spec.Include, "*.mod"); f.mayHold("node_modules") != want {
			t.Errorf("include %q: mayHold(node_modules): got %v, want %v", spec.Include, !want, want)
		}
	}
}

func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	for d := range 1000 {
		sub := filepath.Join(dir, "d"+strconv.Itoa(d))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for f := range 100 {
			if err := os.WriteFile(filepath.Join(sub, strconv.Itoa(f)), []byte{byte(f)}, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	in := read(t, buildkit.Spec{Context: dir})
	if in.Files != 100_001 || in.Bytes != 100_013 {
		t.Errorf("got %d files, %d bytes; want 100001 and 100013", in.Files, in.Bytes)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stop")
	r := Reader{Resolve: func(context.Context, string) (string, error) { cancel(why); return digestA, nil }}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM alpine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Inputs(ctx, buildkit.Spec{Context: dir}); !errors.Is(err, why) {
		t.Errorf("canceled: got %v, want %v", err, why)
	}
}

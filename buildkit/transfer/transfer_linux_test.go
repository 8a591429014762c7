package transfer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/buildkit/cache/contenthash"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/filesync"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/slipway-ci/slipway/buildkit/transfer"
)

// onDisk is a folder that belongs to root, whoever runs the test.
type onDisk struct {
	fsutil.FS
	dir string
}

func newOnDisk(t *testing.T, dir string) onDisk {
	t.Helper()
	all, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	some, err := fsutil.NewFilterFS(all, &fsutil.FilterOpt{Map: func(_ string, st *types.Stat) fsutil.MapResult {
		st.Uid, st.Gid = 0, 0
		return fsutil.MapResultKeep
	}})
	if err != nil {
		t.Fatal(err)
	}
	return onDisk{some, dir}
}

func (d onDisk) Sum(name string) []byte {
	data, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(data)
	return sum[:]
}

// A caller is a session as a solver sees it.
type caller struct {
	session.Caller
	conn *grpc.ClientConn
}

func (c caller) Conn() *grpc.ClientConn                      { return c.conn }
func (c caller) Context(ctx context.Context) context.Context { return ctx }
func (c caller) Supports(method string) bool                 { return true }
func newCaller(t *testing.T, offers ...session.Attachable) caller {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	for _, o := range offers {
		o.Register(server)
	}
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return caller{conn: conn}
}

// digests is what BuildKit's cache knows of a folder, by path.
type digests struct {
	mu sync.Mutex
	of map[string]string
}

func (d *digests) MarkSupported(bool) {}

func (d *digests) ContentHasher() fsutil.ContentHasher { return contenthash.NewFromStat }

func (d *digests) HandleChange(kind fsutil.ChangeKind, name string, info os.FileInfo, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if kind == fsutil.ChangeKindDelete {
		delete(d.of, name)
		return err
	}
	st := info.Sys().(*types.Stat)
	d.of[name] = fmt.Sprintf("%o %q %s", st.Mode, st.Linkname, info.(contenthash.Hashed).Digest())
	return err
}

// describe returns what is in a folder.
func describe(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%v %d", info.Mode(), info.ModTime().UnixNano())
		switch info.Mode().Type() {
		case 0:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(data))
		case fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " " + to
		}
		name, err := filepath.Rel(dir, path)
		all[name] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// different returns what is in one map only.
func different(got, want map[string]string) (lines []string) {
	for name := range want {
		if got[name] != want[name] {
			lines = append(lines, fmt.Sprintf("%s: %q (want %q)", name, got[name], want[name]))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			lines = append(lines, fmt.Sprintf("%s is there: %q", name, got[name]))
		}
	}
	slices.Sort(lines)
	return lines
}

// needRoot skips where files cannot be given to root, as they are in a solver.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to root")
	}
}

// TestReceive changes a folder at random, many times, and compares what is received with
// what is there, with what BuildKit's own sync makes of it, and with what both tell
// BuildKit's cache.
func TestReceive(t *testing.T) {
	needRoot(t)
	random := rand.New(rand.NewPCG(3, 4))
	dir, into := t.TempDir(), t.TempDir()
	folder := newOnDisk(t, dir)
	from := newCaller(t, transfer.Offer(map[string]transfer.Folder{"context": folder}),
		filesync.NewFSSyncProvider(filesync.StaticDirSource{"context": folder}))
	ours := &digests{of: map[string]string{}}
	var holds []transfer.Entry
	for round := range 60 {
		change(t, random, dir)
		req := transfer.Request{Name: "context"}
		if round%5 == 4 {
			req.Include, req.Exclude = []string{"a", "b/**", "*c*"}, []string{"**/d"}
		}
		theirs, copied := &digests{of: map[string]string{}}, t.TempDir()
		err := filesync.FSSync(t.Context(), from, filesync.FSSendRequestOpt{
			Name: "context", DestDir: copied, CacheUpdater: theirs, ProgressCb: func(int, bool) {},
			IncludePatterns: req.Include, ExcludePatterns: req.Exclude,
		})
		if err != nil {
			t.Fatal(err)
		}
		began := false
		list, err := transfer.Receive(t.Context(), from, req, transfer.Into{
			Dir: into, Holds: holds, Updater: ours,
			Begin: func() error { began = true; return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if same := slices.Equal(list, holds); same == began {
			t.Errorf("round %d: began %v, where that is equal: %v", round, began, same)
		}
		holds = list
		if d := different(describe(t, into), describe(t, copied)); d != nil {
			t.Fatalf("round %d: files:\n%s", round, strings.Join(d, "\n"))
		}
		if d := different(ours.of, theirs.of); d != nil {
			t.Fatalf("round %d: digests:\n%s", round, strings.Join(d, "\n"))
		}
		if round%5 != 4 {
			if d := different(describe(t, into), describe(t, dir)); d != nil {
				t.Fatalf("round %d: it is not what was sent:\n%s", round, strings.Join(d, "\n"))
			}
		}
	}
}

// change does a few things to a folder.
func change(t *testing.T, random *rand.Rand, dir string) {
	t.Helper()
	names := []string{"a", "b", "c", "d", "cc"}
	pick := func() string {
		parts := []string{dir}
		for range 1 + random.IntN(3) {
			parts = append(parts, names[random.IntN(len(names))])
		}
		return filepath.Join(parts...)
	}
	text := func() []byte {
		sizes := []int{0, 1, 1000, 1000, 40_000, 256 << 10, 256<<10 + 1, 600_000}
		return bytes.Repeat([]byte{byte(random.IntN(256))}, sizes[random.IntN(len(sizes))])
	}
	for range random.IntN(12) {
		name := pick()
		var err error
		switch random.IntN(6) {
		case 0:
			err = os.RemoveAll(name)
		case 1:
			err = errors.Join(os.RemoveAll(name), os.MkdirAll(name, 0o755))
		case 2:
			err = errors.Join(os.RemoveAll(name), os.MkdirAll(filepath.Dir(name), 0o755), os.Symlink([]string{"/etc/passwd", "a", "../b"}[random.IntN(3)], name))
		case 3:
			if info, e := os.Lstat(name); e == nil && info.Mode().Type()&fs.ModeSymlink == 0 {
				err = os.Chmod(name, []fs.FileMode{0o755, 0o700, 0o777}[random.IntN(3)])
			}
		default:
			err = errors.Join(os.RemoveAll(name), os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text(), 0o644))
		}
		if err != nil && !isInTheWay(err) {
			t.Fatal(err)
		}
	}
}

// isInTheWay reports whether a file or a link to nowhere stood where a folder was to be.
func isInTheWay(err error) bool {
	return strings.Contains(err.Error(), "not a directory") || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) ||
		strings.Contains(err.Error(), "too many levels of symbolic links")
}

// TestReceiveWhatChanged edits a file and keeps its size and time.
func TestReceiveWhatChanged(t *testing.T) {
	needRoot(t)
	dir, into := t.TempDir(), t.TempDir()
	at := time.Unix(1, 0)
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(file, []byte(text), 0o644), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	write("long", strings.Repeat("long", 1<<20))
	write("short", "one")
	from := newCaller(t, transfer.Offer(map[string]transfer.Folder{"f": newOnDisk(t, dir)}))
	var holds []transfer.Entry
	receive := func() (moved int64) {
		t.Helper()
		list, err := transfer.Receive(t.Context(), from, transfer.Request{Name: "f"}, transfer.Into{
			Dir: into, Holds: holds, Updater: &digests{of: map[string]string{}},
			Begin: func() error { return nil },
			Moved: func(bytes, of int64) { moved = bytes },
		})
		if err != nil {
			t.Fatal(err)
		}
		holds = list
		return moved
	}
	if n := receive(); n != 4<<20+3 {
		t.Errorf("at first %d bytes are sent", n)
	}
	write("short", "two")
	if n := receive(); n != 3 {
		t.Errorf("for three bytes %d are sent", n)
	}
	if text, err := os.ReadFile(filepath.Join(into, "short")); err != nil || string(text) != "two" {
		t.Errorf("%q, %v", text, err)
	}
	if n := receive(); n != 0 {
		t.Errorf("for nothing %d bytes are sent", n)
	}
}

// A faulty folder has files that cannot be read, or are not what was said.
type faulty struct {
	onDisk
	open func(name string) (io.ReadCloser, error)
}

func (f faulty) Open(name string) (io.ReadCloser, error) { return f.open(name) }

// unreadable fails when half of it was read.
type unreadable struct{ io.Reader }

func (u unreadable) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil {
		err = errors.New("it changed while it was sent")
	}
	return n, err
}

func TestReceiveErrors(t *testing.T) {
	dir := t.TempDir()
	for i := range 300 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), bytes.Repeat([]byte{'x'}, 10_000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cut := func(n int64) func(string) (io.ReadCloser, error) {
		return func(name string) (io.ReadCloser, error) {
			file, err := os.Open(filepath.Join(dir, name))
			if name != "7" {
				return file, err
			}
			return io.NopCloser(unreadable{io.LimitReader(file, n)}), err
		}
	}
	for _, c := range []struct {
		name string
		open func(string) (io.ReadCloser, error)
		req  string
		into func(*transfer.Into, context.CancelCauseFunc)
		want string
	}{
		{name: "no such folder", req: "other", want: `no folder "other" is sent`},
		{name: "a file that cannot be opened", open: func(name string) (io.ReadCloser, error) { return nil, errors.New("out of files") }, want: "out of files"},
		{name: "a file that changed", open: cut(5000), want: "it changed while it was sent"},
		{name: "a file that is there already", into: func(in *transfer.Into, _ context.CancelCauseFunc) {
			if err := os.WriteFile(filepath.Join(in.Dir, "250"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, want: "250: file exists"},
		{name: "no folder to receive in", into: func(in *transfer.Into, _ context.CancelCauseFunc) { in.Dir += "/none" }, want: "none: no such file"},
		{name: "nothing may be touched", into: func(in *transfer.Into, _ context.CancelCauseFunc) {
			in.Begin = func() error { return errors.New("not now") }
		}, want: "not now"},
		{name: "cancelled", into: func(in *transfer.Into, cancel context.CancelCauseFunc) {
			in.Moved = func(int64, int64) { cancel(errors.New("enough")) }
		}, want: "cancel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needRoot(t)
			var folder transfer.Folder = newOnDisk(t, dir)
			if c.open != nil {
				folder = faulty{newOnDisk(t, dir), c.open}
			}
			from := newCaller(t, transfer.Offer(map[string]transfer.Folder{"f": folder}))
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			in := transfer.Into{Dir: t.TempDir(), Updater: &digests{of: map[string]string{}}, Begin: func() error { return nil }}
			if c.into != nil {
				c.into(&in, cancel)
			}
			req := transfer.Request{Name: "f"}
			if c.req != "" {
				req.Name = c.req
			}
			list, err := transfer.Receive(ctx, from, req, in)
			if err == nil || !strings.Contains(err.Error(), c.want) || list != nil {
				t.Errorf("%d entries, %v (want %s)", len(list), err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "rpc error") {
				t.Errorf("gRPC's words: %v", err)
			}
		})
	}
}

// TestOfferFollows asks for what a link leads to, as COPY does.
func TestOfferFollows(t *testing.T) {
	needRoot(t)
	dir, into := t.TempDir(), t.TempDir()
	err := errors.Join(os.MkdirAll(dir+"/real/deep", 0o755), os.WriteFile(dir+"/real/deep/file", []byte("text"), 0o644),
		os.Symlink("real/deep", dir+"/link"), os.WriteFile(dir+"/other", nil, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	from := newCaller(t, transfer.Offer(map[string]transfer.Folder{"f": newOnDisk(t, dir)}))
	list, err := transfer.Receive(t.Context(), from, transfer.Request{Name: "f", Follow: []string{"link/file"}},
		transfer.Into{Dir: into, Updater: &digests{of: map[string]string{}}, Begin: func() error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Path)
	}
	if want := []string{"link", "real", "real/deep", "real/deep/file"}; !slices.Equal(got, want) {
		t.Errorf("%q (want %q)", got, want)
	}
	if there := slices.Sorted(maps.Keys(describe(t, into))); !slices.Equal(there, got) {
		t.Errorf("%q are there", there)
	}
}

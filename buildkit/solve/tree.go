package solve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/transfer"
)

// sentTime is the time of every file we send: the first that zip can hold, so
// that tools inside a RUN work. The epoch of the image is set on export.
var sentTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// A tree is a folder as it is sent: filtered, the same on any machine, and with
// a digest over every byte.
//
// What is sent must be what was hashed: a builder of our own knows files by their digests,
// and others are to have one content of a size under a key (see sharedKey). A file that
// changes in between fails the build.
type tree struct {
	root   string
	folder *folder        // root; nil where files are not read from the disk
	pace   *pace          // of what is read from folder
	known  Digests        // may be nil
	chosen string         // says which files of root these are
	files  []sent         // a folder before what is in it
	index  map[string]int // by path in files
	digest string
}

// A sent is a file, folder or link of a tree.
type sent struct {
	stat *types.Stat
	sum  [sha256.Size]byte // over the content of a regular file
	data []byte            // the content, where it is not read from the disk
}

var _ transfer.Folder = (*tree)(nil)

// Digests returns the SHA-256 of a file's content, if that was read before and the file
// looks as it did then, so that it has not changed since. The path is relative to the
// folder, with slashes.
type Digests func(folder, path string, now fs.FileInfo) (sum [sha256.Size]byte, ok bool)

// readTree reads the folder and hashes what the patterns select and known, which may
// be nil, does not know. The tree is to be closed.
func readTree(ctx context.Context, root string, include, exclude []string, known Digests) (_ *tree, err error) {
	in, err := openFolder(root)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	walk := walked{in, map[string]fs.FileInfo{}}
	some, err := fsutil.NewFilterFS(walk, &fsutil.FilterOpt{
		IncludePatterns: include,
		ExcludePatterns: exclude,
		Map: func(_ string, st *types.Stat) fsutil.MapResult {
			if !normalise(st) {
				return fsutil.MapResultExclude
			}
			return fsutil.MapResultKeep
		},
	})
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, folder: in, pace: newPace(), known: known, chosen: fmt.Sprintf("%q %q", include, exclude)}
	err = some.Walk(ctx, string(filepath.Separator), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		t.files = append(t.files, sent{stat: info.Sys().(*types.Stat)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := t.hash(ctx, walk.seen); err != nil {
		return nil, err
	}
	return t, nil
}

// close ends the reading of files. A tree of no folder needs none.
func (t *tree) close() {
	if t.folder != nil {
		t.folder.close()
	}
}

// memoryTree holds the files by path with slashes, all in one folder.
func memoryTree(files map[string][]byte) *tree {
	t := &tree{}
	add := func(name string, mode fs.FileMode, data []byte) {
		st := &types.Stat{Path: filepath.FromSlash(name), Mode: uint32(mode), Size: int64(len(data))}
		normalise(st)
		t.files = append(t.files, sent{stat: st, data: data, sum: sha256.Sum256(data)})
	}
	seen := map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var parents []string
		for dir := path.Dir(name); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			parents = append(parents, dir)
		}
		for i := range parents {
			add(parents[len(parents)-1-i], fs.ModeDir|0o755, nil)
		}
		add(name, 0o644, files[name])
	}
	t.seal()
	return t
}

// normalise takes from a file what differs between machines and users. It
// returns false for what cannot be sent.
func normalise(st *types.Stat) bool {
	mode := fs.FileMode(st.Mode)
	if !buildkit.Sent(mode) {
		return false
	}
	if mode.IsRegular() {
		st.Linkname = "" // a hard link is sent as a file of its own
	}
	mode = buildkit.NormalMode(mode)
	*st = types.Stat{Path: st.Path, Mode: uint32(mode), Size: st.Size, Linkname: st.Linkname, ModTime: sentTime}
	return true
}

// hash reads every regular file once, but for those that are known as they were seen.
// Of these, too, what is sent is compared with what was read before, by its digest or, if
// it is long, by its looks.
func (t *tree) hash(ctx context.Context, seen map[string]fs.FileInfo) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range t.files {
		f := &t.files[i]
		if !fs.FileMode(f.stat.Mode).IsRegular() || t.recall(f, seen[f.stat.Path]) {
			continue
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return f.hash(ctx, t.folder)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	t.seal()
	return nil
}

// recall takes the digest over from who has read the file before.
func (t *tree) recall(f *sent, seen fs.FileInfo) bool {
	sum, ok := t.remembered(f, seen)
	if ok {
		f.sum, f.stat.Size = sum, seen.Size()
	}
	return ok
}

// hash reads the file once. One that grows as fast as it is read would never end.
func (f *sent) hash(ctx context.Context, in *folder) error {
	r, info, err := in.open(f.stat.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	h, size := sha256.New(), info.Size()
	for left := size + 1; left > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.CopyN(h, r, min(left, 8<<20))
		if left -= n; err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if err != nil {
			f.stat.Size = size + 1 - left
			h.Sum(f.sum[:0])
			return nil
		}
	}
	return fmt.Errorf("%s grows while it is read", f.stat.Path)
}

// seal makes index and digest.
func (t *tree) seal() {
	t.index = make(map[string]int, len(t.files))
	h := sha256.New()
	for i, f := range t.files {
		t.index[f.stat.Path] = i
		fmt.Fprintf(h, "%q %o %d %q %x\n", filepath.ToSlash(f.stat.Path), f.stat.Mode, f.stat.Size, f.stat.Linkname, f.sum)
	}
	t.digest = hex.EncodeToString(h.Sum(nil))
}

// size is how many bytes the files have.
func (t *tree) size() (n int64) {
	for _, f := range t.files {
		n += f.stat.Size
	}
	return n
}

// Walk calls fn for target and all that is in it, as filepath.WalkDir does.
func (t *tree) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	const sep = string(filepath.Separator)
	target = strings.Trim(filepath.Clean(target), sep)
	first, within := 0, ""
	if target != "" && target != "." {
		i, ok := t.index[target]
		if !ok {
			return nil
		}
		first, within = i, target+sep
	}
	skip := "" // prefix of what is skipped
	for i := first; i < len(t.files); i++ {
		st := t.files[i].stat
		if i > first && !strings.HasPrefix(st.Path, within) {
			return nil
		}
		if skip != "" && strings.HasPrefix(st.Path, skip) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		skip = ""
		if t.folder != nil && fs.FileMode(st.Mode).IsRegular() {
			t.pace.walked()
		}
		switch err := fn(st.Path, &fsutil.DirEntryInfo{Stat: st.Clone()}, nil); {
		case err == nil:
		case errors.Is(err, filepath.SkipAll):
			return nil
		case !errors.Is(err, filepath.SkipDir):
			return err
		case st.IsDir():
			skip = st.Path + sep
		case filepath.Dir(st.Path) == ".":
			return nil
		default:
			skip = filepath.Dir(st.Path) + sep
		}
	}
	return nil
}

// Sum returns the SHA-256 of what a file held when it was hashed.
func (t *tree) Sum(name string) []byte { return t.files[t.index[name]].sum[:] }

// Open returns the content of a file. It never fails, as fsutil would send an
// empty file then; what is wrong comes out of the first Read.
func (t *tree) Open(name string) (io.ReadCloser, error) {
	i, ok := t.index[filepath.Clean(filepath.FromSlash(name))]
	if !ok {
		return &checked{name: name, err: fs.ErrNotExist}, nil
	}
	f := &t.files[i]
	if t.folder == nil {
		return io.NopCloser(strings.NewReader(string(f.data))), nil
	}
	r, now, err := t.folder.open(f.stat.Path)
	c := &checked{name: name, file: r, err: err, left: f.stat.Size}
	if err == nil {
		t.pace.opened()
		c.closed = t.pace.closed
	}
	if err == nil && now.Size() >= longFile && t.looks(f, now) {
		c.same = func() bool {
			after, err := r.Stat()
			return err == nil && t.looks(f, after)
		}
		return c, nil
	}
	h := sha256.New()
	c.hash, c.same = h, func() bool { return [sha256.Size]byte(h.Sum(nil)) == f.sum }
	return c, nil
}

// longFile is how long a file is at least that is not hashed when it is sent, if it
// looks as it did when it was hashed.
const longFile = 1 << 20

// looks reports whether a file looks as it did when it was hashed.
func (t *tree) looks(f *sent, now fs.FileInfo) bool {
	sum, ok := t.remembered(f, now)
	return ok && sum == f.sum
}

// remembered returns the digest of a file that has not changed since it was read.
func (t *tree) remembered(f *sent, now fs.FileInfo) (sum [sha256.Size]byte, ok bool) {
	if t.known == nil {
		return sum, false
	}
	return t.known(t.root, filepath.ToSlash(f.stat.Path), now)
}

// A checked reads a file and fails at its end if it is not what was hashed.
type checked struct {
	name string
	file *os.File
	hash io.Writer   // gets what is read; may be nil
	same func() bool // reports in the end whether it was that
	left int64       // that was hashed
	err  error

	closed func() // is called when the file is
}

func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.file.Read(p)
	if c.hash != nil {
		_, _ = c.hash.Write(p[:n]) // a hash never fails
	}
	c.left -= int64(n)
	if c.left < 0 || err == io.EOF && (c.left > 0 || !c.same()) {
		c.err = fmt.Errorf("%s changed while it was sent", c.name)
		return 0, c.err
	}
	return n, err
}

func (c *checked) Close() error {
	if c.file == nil {
		return nil
	}
	if c.closed != nil {
		c.closed()
		c.closed = nil
	}
	return c.file.Close()
}

package inputs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// grain is how much coarser than ours the clock of a file system may be. A file
// that changed within it of our look may change again without a trace, as in
// git's index: it is read the next time, too.
//
// See https://git-scm.com/docs/racy-git.
const grain = 2 * time.Second

// unseen is how many days a file is remembered that nobody looked at.
const unseen = 30

// looks are what a Reader remembers of the files of each folder.
type looks struct {
	mu     sync.Mutex
	byRoot map[string]*look
}

// A look remembers digests of files that have not changed since they were read.
type look struct {
	file string // where it is kept; empty means nowhere

	mu    sync.Mutex
	known map[string]*memory
	dirty bool
}

// A memory is the digest of a file, and what the file looked like, as they are kept: the
// face, the digest, and the day of the last look, since 1970. There may be a hundred
// thousand of them, of which nothing is asked but whether a face is the same.
type memory [faceSize + sha256.Size + 4]byte

func newMemory(now face, sum [sha256.Size]byte, day uint32) *memory {
	m := new(memory)
	seen := now.bytes()
	copy(m[:], seen[:])
	copy(m[faceSize:], sum[:])
	m.setDay(day)
	return m
}

// is reports whether a file looks as it did.
func (m *memory) is(now face) bool { return [faceSize]byte(m[:]) == now.bytes() }

func (m *memory) sum() [sha256.Size]byte { return [sha256.Size]byte(m[faceSize:]) }
func (m *memory) day() uint32            { return binary.LittleEndian.Uint32(m[faceSize+sha256.Size:]) }

func (m *memory) setDay(day uint32) {
	binary.LittleEndian.PutUint32(m[faceSize+sha256.Size:], day)
}

// A face is what changes when a file does.
type face struct {
	Size, Mtime, Ctime int64 // times in nanoseconds since 1970
	Inode, Device      uint64
	Mode               uint32
}

// faceSize is that of a face that is kept.
const faceSize = 5*8 + 4

func (f face) bytes() (b [faceSize]byte) {
	for i, n := range [...]uint64{uint64(f.Size), uint64(f.Mtime), uint64(f.Ctime), f.Inode, f.Device} {
		binary.LittleEndian.PutUint64(b[8*i:], n)
	}
	binary.LittleEndian.PutUint32(b[5*8:], f.Mode)
	return b
}

// look returns what is remembered of a folder.
func (r *Reader) look(root string) *look {
	r.looks.mu.Lock()
	defer r.looks.mu.Unlock()
	if l := r.looks.byRoot[root]; l != nil {
		return l
	}
	l := &look{known: map[string]*memory{}}
	if r.State != "" {
		sum := sha256.Sum256([]byte(root))
		l.file = filepath.Join(r.State, "files", hex.EncodeToString(sum[:8]))
		l.load()
	}
	if r.looks.byRoot == nil {
		r.looks.byRoot = map[string]*look{}
	}
	r.looks.byRoot[root] = l
	return l
}

// Known returns the SHA-256 of the content of a file in a context that this reader has
// read, if the file looks as it did then. The path is relative to the context's folder,
// with slashes.
func (r *Reader) Known(folder, path string, now fs.FileInfo) (sum [sha256.Size]byte, ok bool) {
	r.looks.mu.Lock()
	l := r.looks.byRoot[folder]
	r.looks.mu.Unlock()
	face, ok := faceOf(now)
	if l == nil || !ok {
		return sum, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.known[path]
	if m == nil || !m.is(face) {
		return sum, false
	}
	return m.sum(), true
}

// digest returns the digest of a file's content and its length; the file is read
// only if it looks different from the last time.
func (l *look) digest(ctx context.Context, f file) (sum [sha256.Size]byte, n int64, err error) {
	began := time.Now()
	now, ok := faceOf(f.info)
	day := uint32(began.Unix() / 86400)
	if ok && l.file != "" {
		l.mu.Lock()
		if m := l.known[f.path]; m != nil && m.is(now) {
			if m.day() != day {
				m.setDay(day)
				l.dirty = true
			}
			l.mu.Unlock()
			return m.sum(), now.Size, nil
		}
		l.mu.Unlock()
	}
	sum, n, err = contentDigest(ctx, f)
	if err != nil || !ok || l.file == "" || n != now.Size {
		return sum, n, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if settled := began.Add(-grain).UnixNano(); now.Mtime >= settled || now.Ctime >= settled {
		if _, known := l.known[f.path]; known {
			delete(l.known, f.path)
			l.dirty = true
		}
		return sum, n, nil
	}
	l.known[f.path] = newMemory(now, sum, day)
	l.dirty = true
	return sum, n, nil
}

// A file of memories begins with its format and ends with a digest over it all.
const lookFormat = "slipway files 1\n"

// load reads what an earlier process kept. Whatever is wrong with that: files
// are read again then.
func (l *look) load() {
	text, err := os.ReadFile(l.file)
	if err != nil || len(text) < len(lookFormat)+sha256.Size || string(text[:len(lookFormat)]) != lookFormat {
		return
	}
	body := text[:len(text)-sha256.Size]
	if sha256.Sum256(body) != [sha256.Size]byte(text[len(body):]) {
		return
	}
	body = body[len(lookFormat):]
	today := uint32(time.Now().Unix() / 86400)
	names := string(body) // those in l.known are parts of it
	const size = len(memory{})
	l.known = make(map[string]*memory, len(body)/(size+40))
	for len(body) > 0 {
		n, used := binary.Uvarint(body)
		if used <= 0 || n > uint64(len(body)) || uint64(len(body)-used) < n+uint64(size) {
			return
		}
		begin := len(names) - len(body) + used
		name := names[begin : begin+int(n)]
		m := (*memory)(body[used+int(n):])
		if today-m.day() <= unseen {
			l.known[name] = m
		}
		body = body[used+int(n)+size:]
	}
}

// keep writes what is remembered, whole or not at all. Nothing depends on it, so
// an error is only a slower next time.
func (l *look) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dirty || l.file == "" {
		return
	}
	l.dirty = false
	out := []byte(lookFormat)
	for name, m := range l.known {
		out = binary.AppendUvarint(out, uint64(len(name)))
		out = append(out, name...)
		out = append(out, m[:]...)
	}
	sum := sha256.Sum256(out)
	_ = replace(l.file, append(out, sum[:]...))
}

// replace writes a file whole or not at all.
func replace(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // nothing is there after the rename
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

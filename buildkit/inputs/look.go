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
	known map[string]memory
	dirty bool
}

// A memory is the digest of a file, and what the file looked like.
type memory struct {
	Face face
	Sum  [sha256.Size]byte
	Day  uint32 // of the last look, since 1970
}

// A face is what changes when a file does.
type face struct {
	Size, Mtime, Ctime int64 // times in nanoseconds since 1970
	Inode, Device      uint64
	Mode               uint32
}

// look returns what is remembered of a folder.
func (r *Reader) look(root string) *look {
	r.looks.mu.Lock()
	defer r.looks.mu.Unlock()
	if l := r.looks.byRoot[root]; l != nil {
		return l
	}
	l := &look{known: map[string]memory{}}
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
	m, ok := l.known[path]
	return m.Sum, ok && m.Face == face
}

// digest returns the digest of a file's content and its length; the file is read
// only if it looks different from the last time.
func (l *look) digest(ctx context.Context, f file) (sum [sha256.Size]byte, n int64, err error) {
	began := time.Now()
	now, ok := faceOf(f.info)
	day := uint32(began.Unix() / 86400)
	if ok && l.file != "" {
		l.mu.Lock()
		m, known := l.known[f.path]
		if known && m.Face == now {
			if m.Day != day {
				m.Day, l.dirty = day, true
				l.known[f.path] = m
			}
			l.mu.Unlock()
			return m.Sum, now.Size, nil
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
	l.known[f.path] = memory{Face: now, Sum: sum, Day: day}
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
	l.known = make(map[string]memory, len(body)/(memorySize+40))
	for len(body) > 0 {
		n, used := binary.Uvarint(body)
		if used <= 0 || n > uint64(len(body)) || uint64(len(body)-used) < n+memorySize {
			return
		}
		begin := len(names) - len(body) + used
		name := names[begin : begin+int(n)]
		m := readMemory([memorySize]byte(body[used+int(n):]))
		if today-m.Day <= unseen {
			l.known[name] = m
		}
		body = body[used+int(n)+memorySize:]
	}
}

// memorySize is that of a memory, as encoding/binary writes it.
const memorySize = 5*8 + 4 + sha256.Size + 4

// readMemory reads what binary.Append wrote; binary.Decode takes ten times as long, for
// it looks at the type each time.
func readMemory(b [memorySize]byte) (m memory) {
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
	m.Face = face{
		Size: int64(u64(0)), Mtime: int64(u64(8)), Ctime: int64(u64(16)),
		Inode: u64(24), Device: u64(32), Mode: binary.LittleEndian.Uint32(b[40:]),
	}
	copy(m.Sum[:], b[44:])
	m.Day = binary.LittleEndian.Uint32(b[44+sha256.Size:])
	return m
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
		out, _ = binary.Append(out, binary.LittleEndian, m) // its size is fixed
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

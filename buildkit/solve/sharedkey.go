package solve

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"

	"github.com/slipway-ci/slipway/buildkit/transfer"
)

// send makes trees a part of what is asked of the builder, by their names.
//
// A builder keeps what it was sent under a shared key. The files of one folder, chosen by
// the same patterns, share one. A builder of our own tells by digests which files it has
// not got.
func (b *Builder) send(ctx context.Context, c *client.Client, opt *client.SolveOpt, trees map[string]*tree) {
	opt.LocalMounts = map[string]fsutil.FS{}
	for name, t := range trees {
		opt.LocalMounts[name] = t
	}
	workers, err := c.ListWorkers(ctx)
	if err != nil || len(workers) == 0 {
		opt.SharedKey = digestOf(trees) // the build says what is wrong
		return
	}
	if worker := workers[0]; worker.Labels[transfer.Label] != "" {
		folders := map[string]transfer.Folder{}
		for name, t := range trees {
			folders[name] = t
		}
		opt.Session = append(opt.Session, transfer.Offer(folders))
		opt.SharedKey = placeOf(worker, trees)
	} else {
		opt.SharedKey = b.sharedKey(worker, trees)
	}
}

// sharedKey returns the key for a builder that is sent only files that differ in size,
// mode or kind from what it has: all times that we send are equal. So there may never be
// two contents of one size in one place under one key. That is seen to here: all contents
// for which a key was given away are remembered, before they are sent, and where a file
// was edited without a change of its size, another key is taken. It does not matter which
// of them the builder has. (Files that were on no disk are sent anew each time.)
func (b *Builder) sharedKey(worker *client.WorkerInfo, trees map[string]*tree) string {
	trees = maps.Clone(trees)
	maps.DeleteFunc(trees, func(_ string, t *tree) bool { return t.folder == nil })
	if b.Sent == "" {
		return digestOf(trees)
	}
	file := filepath.Join(b.Sent, placeOf(worker, trees))
	h := takeHistory(file)
	if !h.add(trees) {
		h = history{Key: rand.Text()}
		h.add(trees)
	}
	if h.keep(file) != nil {
		return digestOf(trees) // under which there is one content
	}
	return h.Key
}

// placeOf returns what stands for a builder and for folders whose files are chosen in
// one way.
func placeOf(worker *client.WorkerInfo, trees map[string]*tree) string {
	place := sha256.New()
	fmt.Fprintln(place, worker.ID)
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		fmt.Fprintf(place, "%q %q %s\n", name, trees[name].root, trees[name].chosen)
	}
	return hex.EncodeToString(place.Sum(nil)[:16])
}

// digestOf is a key that other files do not have.
func digestOf(trees map[string]*tree) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		fmt.Fprintf(h, "%q %s\n", name, trees[name].digest)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A history is all that was ever sent under a key.
type history struct {
	Key   string
	Files map[string][]version // by name of the tree and path
}

// A version is what a file held once; no other content of this size was in its place.
type version struct {
	Size int64
	Sum  [sha256.Size]byte
}

// add remembers what the trees hold. It returns false if that cannot be told from what
// was sent before, or if so much was sent that a new history is cheaper.
func (h *history) add(trees map[string]*tree) bool {
	if h.Files == nil {
		h.Files = map[string][]version{}
	}
	now := 0
	for name, t := range trees {
		for _, f := range t.files {
			if !fs.FileMode(f.stat.Mode).IsRegular() {
				continue
			}
			now++
			at := name + "\x00" + f.stat.Path
			i := slices.IndexFunc(h.Files[at], func(v version) bool { return v.Size == f.stat.Size })
			if i < 0 {
				h.Files[at] = append(h.Files[at], version{f.stat.Size, f.sum})
			} else if h.Files[at][i].Sum != f.sum {
				return false
			}
		}
	}
	all := 0
	for _, versions := range h.Files {
		all += len(versions)
	}
	return all <= 4*now+1000
}

// takeHistory reads a history, which nobody else can read then. It is a new one where
// there is none, or none that can be read.
func takeHistory(file string) history {
	fresh := history{Key: rand.Text()}
	mine := file + "." + rand.Text()
	if os.Rename(file, mine) != nil {
		return fresh
	}
	text, err := os.ReadFile(mine)
	if err = errors.Join(err, os.Remove(mine)); err != nil || len(text) < sha256.Size {
		return fresh
	}
	body := text[:len(text)-sha256.Size]
	if sha256.Sum256(body) != [sha256.Size]byte(text[len(body):]) {
		return fresh
	}
	var h history
	if gob.NewDecoder(bytes.NewReader(body)).Decode(&h) != nil {
		return fresh
	}
	return h
}

// keep writes a history, whole or not at all.
func (h *history) keep(file string) error {
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(h); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // nothing is there after the rename
	forget(filepath.Dir(file))
	sum := sha256.Sum256(body.Bytes())
	_, err = tmp.Write(append(body.Bytes(), sum[:]...))
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// unused is how long a history is kept that no build asks for.
const unused = 30 * 24 * time.Hour

// forget removes histories that are not used any more.
func forget(dir string) {
	entries, _ := os.ReadDir(dir) // none is as good as an error
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > unused {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

package transfer

import (
	"context"
	"hash"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Small files are written in batches, by several at once: it takes longer to make a file
// than to send one.
const (
	batchBytes = 256 << 10
	batchFiles = 64
)

// A batch is small files, and what they hold, one after the other.
type batch struct {
	files []*Entry
	room  *[batchBytes]byte
}

var rooms = sync.Pool{New: func() any { return new([batchBytes]byte) }}

// fill writes files, which come one after the other. moved may be nil.
func (d *disk) fill(ctx context.Context, from *messages, files []*Entry, moved func(bytes, of int64)) error {
	var done, all int64
	for _, e := range files {
		all += e.Size
	}
	move := func(n int64) {
		if done += n; moved != nil {
			moved(done, all)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	batches := make(chan batch)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for b := range batches {
				if err := d.writeBatch(b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(batches)
		for len(files) > 0 {
			if files[0].Size > batchBytes {
				if err := d.writeLong(ctx, files[0], from, move); err != nil {
					return err
				}
				files = files[1:]
				continue
			}
			b, n, err := take(from, files)
			if err != nil {
				return err
			}
			select {
			case batches <- b:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			files = files[len(b.files):]
			move(n)
		}
		return nil
	})
	return g.Wait()
}

// take reads as many files as fit into a batch, one at least.
func take(from *messages, files []*Entry) (b batch, n int64, err error) {
	for len(b.files) < min(batchFiles, len(files)) {
		next := files[len(b.files)].Size
		if n+next > batchBytes {
			break
		}
		b.files, n = files[:len(b.files)+1], n+next
	}
	b.room = rooms.Get().(*[batchBytes]byte)
	_, err = io.ReadFull(from, b.room[:n])
	return b, n, err
}

func (d *disk) writeBatch(b batch) error {
	defer rooms.Put(b.room)
	at := int64(0)
	for _, e := range b.files {
		data := b.room[at : at+e.Size]
		at += e.Size
		err := d.write(e, func(file *os.File, h hash.Hash) error {
			_, _ = h.Write(data) // a hash never fails
			_, err := file.Write(data)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) writeLong(ctx context.Context, e *Entry, from *messages, moved func(int64)) error {
	return d.write(e, func(file *os.File, h hash.Hash) error {
		for left := e.Size; left > 0; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			part, err := from.next(left)
			if err != nil {
				return err
			}
			_, _ = h.Write(part) // a hash never fails
			if _, err := file.Write(part); err != nil {
				return err
			}
			left -= int64(len(part))
			moved(int64(len(part)))
		}
		return nil
	})
}

// write makes a file, which is not there, and has it filled.
func (d *disk) write(e *Entry, fill func(*os.File, hash.Hash) error) error {
	h, err := d.hash(e)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(d.path(e), os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.perm())
	if err != nil {
		return err
	}
	defer file.Close() // again, where it was not closed below
	if err := fill(file, h); err != nil {
		return err
	}
	if err := file.Chmod(e.perm()); err != nil { // the umask kept parts of it away
		return err
	}
	if d.chown {
		if err := file.Chown(0, 0); err != nil {
			return err
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := d.dateOne(e); err != nil {
		return err
	}
	return d.tell(e, h)
}

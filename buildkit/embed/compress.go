//go:build linux

package embed

import (
	"context"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/pgzip"
	"github.com/moby/buildkit/util/compression"
)

// What is compressed at a time by one processor. Other sizes give other bytes, and so
// other digests of the same image; how many processors there are does not.
const gzipBlock = 1 << 20

// gzipLevel makes layers some hundredths larger than gzip's own default, which costs four
// times as much in the standard library.
const gzipLevel = 5

// compressorOf returns how layers are compressed: gzip by all processors, zstd and no
// compression as BuildKit has them. It is nil for what we leave to BuildKit.
func compressorOf(ctx context.Context, c compression.Config) compression.Compressor {
	switch c.Type {
	case compression.Gzip:
		level := gzipLevel
		if c.Level != nil {
			level = *c.Level
		}
		return func(to io.Writer, _ string) (io.WriteCloser, error) { return newGzip(to, level) }
	case compression.Zstd, compression.Uncompressed:
		compress, _ := c.Type.Compress(ctx, c)
		return compress
	default:
		return nil
	}
}

func newGzip(to io.Writer, level int) (io.WriteCloser, error) {
	if level != gzipLevel {
		return startGzip(to, level)
	}
	w, _ := idle.Get().(*pgzip.Writer)
	if w == nil {
		fresh, err := startGzip(to, level)
		return &reused{fresh}, err
	}
	w.Reset(to)
	return &reused{w}, w.SetConcurrency(gzipBlock, runtime.GOMAXPROCS(0)+1)
}

func startGzip(to io.Writer, level int) (*pgzip.Writer, error) {
	w, err := pgzip.NewWriterLevel(to, level)
	if err != nil {
		return nil, err
	}
	return w, w.SetConcurrency(gzipBlock, runtime.GOMAXPROCS(0)+1)
}

// idle are writers of the usual level: their buffers are larger than most layers.
var idle sync.Pool

// A reused writer is given back when it is closed.
type reused struct{ *pgzip.Writer }

func (r *reused) Close() error {
	err := r.Writer.Close()
	if err == nil {
		idle.Put(r.Writer)
	}
	r.Writer = nil
	return err
}

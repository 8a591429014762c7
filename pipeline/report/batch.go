package report

import (
	"io"
	"strings"
	"sync"
	"time"
)

// How much a Batch holds back, and for how long.
const (
	batchSize = 64 << 10
	batchTime = 100 * time.Millisecond
)

// A Batch is a writer that gathers what is written to it, for a tenth of a second
// or 64 KiB: logs come by the million lines, and a system call for each costs more
// than the line. What it holds is lost when the process is killed.
type Batch struct {
	W io.Writer

	mu    sync.Mutex
	held  []byte
	timer *time.Timer // runs while something is held
	err   error       // of a write that nobody waited for
}

// Write holds p back. It returns the error of W from an earlier write, if there
// was one.
func (b *Batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = append(b.held, p...)
	b.hold()
	return len(p), b.err
}

// Lines holds lines back, each of which is to begin with prefix; the last need not be
// ended.
func (b *Batch) Lines(prefix, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for more := true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		b.held = append(b.held, prefix...)
		b.held = append(b.held, line...)
		b.held = append(b.held, '\n')
		if more && len(b.held) >= batchSize {
			b.flush()
		}
	}
	b.hold()
}

// hold writes what is held if that is much, or else in a while.
func (b *Batch) hold() {
	if len(b.held) >= batchSize {
		b.flush()
	} else if b.timer == nil {
		b.timer = time.AfterFunc(batchTime, func() { _ = b.Flush() }) // the next call returns the error
	}
}

// Flush writes what is held. It returns the error of W from this or an earlier
// write.
func (b *Batch) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
	return b.err
}

func (b *Batch) flush() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.held) == 0 {
		return
	}
	if _, err := b.W.Write(b.held); err != nil {
		b.err = err
	}
	b.held = b.held[:0]
}

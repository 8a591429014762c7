package transfer

import (
	"bufio"
	"encoding/gob"

	"github.com/moby/buildkit/session/filesync"
	"github.com/tonistiigi/fsutil/types"
)

// Label is on a worker that receives folders in this way.
const Label = "slipway.transfer"

// Method is what a session has that sends folders in this way.
const Method = "/" + service + "/" + method

const (
	service = "slipway.transfer.v1.Folders"
	method  = "Get"
)

// A Request says what a solver wants to have, as BuildKit's local source does.
type Request struct {
	Name    string   // of the folder
	Include []string // patterns; none means all
	Exclude []string
	Follow  []string // paths whose links are followed
}

// An Entry is a file, folder or link. A list has each folder before what is in it.
type Entry struct {
	Path     string // with slashes
	Mode     uint32 // as io/fs has it
	Size     int64  // of a file
	ModTime  int64  // nanoseconds since 1970
	Linkname string // of a link
	Sum      string // SHA-256 of what a file holds, 32 bytes
}

// stat returns the entry as BuildKit knows it.
func (e *Entry) stat() *types.Stat {
	return &types.Stat{Path: e.Path, Mode: e.Mode, Size: e.Size, ModTime: e.ModTime, Linkname: e.Linkname}
}

// A wire carries a request, the list that answers it, up to an entry without a path, which
// files of that are wanted, by index, and what these hold, one after the other.
type wire struct {
	*messages     // what came
	*bufio.Writer // what goes
	to            *gob.Encoder
	from          *gob.Decoder
}

func newWire(s filesync.Stream) *wire {
	w := &wire{messages: &messages{stream: s}}
	w.Writer = bufio.NewWriterSize(w.messages, longest)
	w.to, w.from = gob.NewEncoder(w.Writer), gob.NewDecoder(w.messages)
	return w
}

// Write sends bytes, not all of them at once.
func (w *wire) Write(p []byte) (int, error) { return w.Writer.Write(p) }

// say sends a value.
func (w *wire) say(value any) error {
	if err := w.to.Encode(value); err != nil {
		return err
	}
	return w.Flush()
}

// hear waits for a value.
func (w *wire) hear(value any) error { return w.from.Decode(value) }

// longest is how many bytes a message has at most: with its frame it fits into the
// buffers that gRPC keeps.
const longest = 32<<10 - 64

// messages are a stream of bytes.
type messages struct {
	stream filesync.Stream
	got    filesync.BytesMessage
	left   []byte // of got
}

func (m *messages) Read(p []byte) (int, error) {
	part, err := m.next(int64(len(p)))
	return copy(p, part), err
}

// next returns bytes that came, n at most. They are good until the next call.
func (m *messages) next(n int64) ([]byte, error) {
	for len(m.left) == 0 {
		m.got.Data = m.got.Data[:0]
		if err := m.stream.RecvMsg(&m.got); err != nil {
			return nil, err
		}
		m.left = m.got.Data
	}
	p := m.left[:min(n, int64(len(m.left)))]
	m.left = m.left[len(p):]
	return p, nil
}

// ReadByte makes gob read no byte too many.
func (m *messages) ReadByte() (byte, error) {
	p, err := m.next(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

func (m *messages) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(len(p), n+longest)]
		if err := m.stream.SendMsg(&filesync.BytesMessage{Data: part}); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

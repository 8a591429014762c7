package transfer

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc"
)

// An Into is where a folder is received.
type Into struct {
	Dir     string
	Holds   []Entry               // what is in Dir; there is nothing else
	Begin   func() error          // is called before anything in Dir is touched
	Updater filesync.CacheUpdater // hears of all changes
	Moved   func(bytes, of int64) // is called as files come; may be nil
}

// Receive makes a folder be as the session has it, and returns what is in it then. What
// a file holds is not sent where the folder has that, by its digest. After an error the
// folder is something in between, if Begin was called.
func Receive(ctx context.Context, from session.Caller, req Request, into Into) ([]Entry, error) {
	list, err := receive(ctx, from, req, into)
	if err != nil {
		return nil, grpcerrors.FromGRPC(err)
	}
	return list, nil
}

func receive(ctx context.Context, from session.Caller, req Request, into Into) ([]Entry, error) {
	ctx, stop := context.WithCancelCause(from.Context(ctx))
	defer stop(nil) // ends the stream
	stream, err := from.Conn().NewStream(ctx, &grpc.StreamDesc{StreamName: method, ServerStreams: true, ClientStreams: true}, Method)
	if err != nil {
		return nil, err
	}
	w := newWire(stream)
	if err := w.say(req); err != nil {
		return nil, err
	}
	list, err := w.receiveList()
	if err != nil {
		return nil, err
	}
	if err := check(list); err != nil {
		return nil, err
	}
	d := compare(into.Holds, list)
	if err := w.say(d.files); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	if d.none() {
		return list, nil
	}
	if err := into.Begin(); err != nil {
		return nil, err
	}
	disk, err := openDisk(into.Dir, into.Updater)
	if err != nil {
		return nil, err
	}
	if err := disk.prepare(d, list); err != nil {
		return nil, err
	}
	files := make([]*Entry, len(d.files))
	for i, at := range d.files {
		files[i] = &list[at]
	}
	if err := disk.fill(ctx, w.messages, files, into.Moved); err != nil {
		return nil, err
	}
	if _, err := w.ReadByte(); err == nil {
		return nil, errors.New("more came than was asked for")
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return list, disk.date(list)
}

func (w *wire) receiveList() (list []Entry, err error) {
	for {
		var e Entry
		if err := w.hear(&e); err != nil {
			return nil, err
		}
		if e.Path == "" {
			return slices.Clip(list), nil
		}
		list = append(list, e)
	}
}

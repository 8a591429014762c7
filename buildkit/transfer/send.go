package transfer

import (
	"context"
	"io/fs"
	"path/filepath"

	"github.com/moby/buildkit/session"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A Folder can be sent. A file must read as Walk and Sum say, or fail.
type Folder interface {
	fsutil.FS
	// Sum returns the SHA-256 of a regular file that Walk has come to.
	Sum(path string) []byte
}

// Offer returns what a session sends folders with, by name.
func Offer(folders map[string]Folder) session.Attachable { return offer(folders) }

type offer map[string]Folder

// Register makes the session's server know the method.
func (o offer) Register(server *grpc.Server) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    method,
			Handler:       func(_ any, stream grpc.ServerStream) error { return o.send(stream) },
			ServerStreams: true,
			ClientStreams: true,
		}},
	}, o)
}

func (o offer) send(stream grpc.ServerStream) error {
	w := newWire(stream)
	var req Request
	if err := w.hear(&req); err != nil {
		return err
	}
	folder, ok := o[req.Name]
	if !ok {
		return status.Errorf(codes.NotFound, "no folder %q is sent", req.Name)
	}
	files, err := w.list(stream.Context(), folder, req)
	if err != nil {
		return err
	}
	var wanted []int
	if err := w.hear(&wanted); err != nil {
		return err
	}
	for _, i := range wanted {
		if i < 0 || i >= len(files) {
			return status.Errorf(codes.InvalidArgument, "entry %d of %d is wanted", i, len(files))
		}
		if err := w.content(folder, files[i]); err != nil {
			return err
		}
	}
	return w.Flush()
}

// list sends the list of what was asked for, and returns the paths in it.
func (w *wire) list(ctx context.Context, folder Folder, req Request) (paths []string, err error) {
	some, err := fsutil.NewFilterFS(folder, &fsutil.FilterOpt{
		IncludePatterns: req.Include,
		ExcludePatterns: req.Exclude,
		FollowPaths:     req.Follow,
	})
	if err != nil {
		return nil, err
	}
	err = some.Walk(ctx, string(filepath.Separator), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*types.Stat) // as all that walks for fsutil has it
		e := Entry{Path: filepath.ToSlash(name), Mode: st.Mode, ModTime: st.ModTime, Linkname: st.Linkname}
		if info.Mode().IsRegular() {
			e.Size, e.Sum = st.Size, string(folder.Sum(name))
		}
		paths = append(paths, name)
		return w.to.Encode(&e)
	})
	if err != nil {
		return nil, err
	}
	return paths, w.say(&Entry{})
}

// content sends what a file holds.
func (w *wire) content(folder Folder, path string) error {
	r, err := folder.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = w.ReadFrom(r)
	return err
}

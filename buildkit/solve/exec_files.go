package solve

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	wlabel "github.com/moby/buildkit/worker/label"
	"github.com/tonistiigi/fsutil/types"

	"github.com/slipway-ci/slipway/buildkit"
)

// sourceName is what a session calls the folder that a command sees.
const sourceName = "source"

// mounts are the file systems of a command, the image's first.
func (e *execution) mounts(ctx context.Context, g gateway.Client, root gateway.Reference) ([]gateway.Mount, error) {
	all := []gateway.Mount{{Dest: "/", MountType: pb.MountType_BIND, Ref: root}}
	if s := e.cmd.Source; s != nil {
		def, err := llb.Local(sourceName, llb.SharedKeyHint(sourceName), llb.SessionID(g.BuildOpts().SessionID), llb.WithCustomName("load source")).Marshal(ctx)
		if err != nil {
			return nil, err
		}
		res, err := g.Solve(ctx, gateway.SolveRequest{Definition: def.ToPB(), Evaluate: true})
		if err != nil {
			return nil, err
		}
		ref, err := res.SingleRef()
		if err != nil {
			return nil, err
		}
		all = append(all, gateway.Mount{Dest: s.At, MountType: pb.MountType_BIND, Ref: ref, Readonly: true})
	}
	for _, id := range slices.Sorted(maps.Keys(e.cmd.Files)) {
		all = append(all, gateway.Mount{
			Dest: "/run/secrets/" + id, MountType: pb.MountType_SECRET,
			SecretOpt: &pb.SecretOpt{ID: id, Mode: 0o444}, // the command may be anybody, and is alone in there
		})
	}
	return all, nil
}

// ownNetwork makes sure that a command which wants a network of its own gets one:
// a builder without a sandboxed network would give it that of its host.
func (b *Builder) ownNetwork(ctx context.Context, c *client.Client, cmd buildkit.Command) error {
	if cmd.Network != "private" {
		return nil
	}
	workers, err := c.ListWorkers(ctx)
	if err != nil {
		return err
	}
	for _, w := range workers {
		if mode := cmp.Or(w.Labels[wlabel.Network], "host"); mode == "host" {
			return &buildkit.HostError{
				What: "its builder has no network of its own for commands",
				Cure: "use network: none or host, or a buildkitd with CNI or bridge networking",
			}
		}
	}
	return nil
}

// take hands out what the command shall leave. All that is missing is reported.
func (e *execution) take(ctx context.Context, ctr gateway.Container) error {
	var errs []error
	for _, name := range e.cmd.Take {
		if err := e.takeOne(ctx, ctr, name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (e *execution) takeOne(ctx context.Context, ctr gateway.Container, name string) error {
	st, err := ctr.StatFile(ctx, gateway.StatContainerRequest{StatRequest: gateway.StatRequest{Path: name}})
	if err != nil {
		if strings.Contains(err.Error(), "no such file or directory") || errors.Is(err, fs.ErrNotExist) {
			return buildkit.ErrNoPath
		}
		return err
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		out := &taker{ctx: ctx, ctr: ctr, tar: tar.NewWriter(w)}
		err := out.entry(name, ".", st)
		if err == nil {
			err = out.tar.Close()
		}
		w.CloseWithError(err)
		done <- err
	}()
	err = e.cmd.Taken(name, r)
	r.CloseWithError(cmp.Or(err, io.ErrClosedPipe))
	if cause := <-done; err == nil && !errors.Is(cause, io.ErrClosedPipe) {
		err = cause
	}
	return err
}

// A taker writes files of a container into a tar.
type taker struct {
	ctx context.Context //nolint:containedctx // it lives no longer than the call
	ctr gateway.Container
	tar *tar.Writer
}

// chunk is how much of a file is read at once: less than a message holds.
const chunk = 4 << 20

// entry writes a file, link or folder, and what is in that. Devices, pipes and
// sockets are left out.
func (t *taker) entry(at, name string, st *types.Stat) error {
	mode := fs.FileMode(st.Mode)
	h := &tar.Header{Name: name, Mode: int64(mode.Perm()), Format: tar.FormatPAX}
	switch mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		if err := t.tar.WriteHeader(h); err != nil {
			return err
		}
		entries, err := t.ctr.ReadDir(t.ctx, gateway.ReadDirContainerRequest{ReadDirRequest: gateway.ReadDirRequest{Path: at}})
		if err != nil {
			return err
		}
		for _, child := range entries {
			base := path.Base(child.Path)
			if err := t.entry(path.Join(at, base), path.Join(name, base), child); err != nil {
				return err
			}
		}
		return nil
	case fs.ModeSymlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, st.Linkname
		return t.tar.WriteHeader(h)
	case 0:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
		if err := t.tar.WriteHeader(h); err != nil {
			return err
		}
		return t.content(at, st.Size)
	}
	return nil
}

func (t *taker) content(at string, size int64) error {
	for done := int64(0); done < size; {
		text, err := t.ctr.ReadFile(t.ctx, gateway.ReadContainerRequest{ReadRequest: gateway.ReadRequest{
			Filename: at, Range: &gateway.FileRange{Offset: int(done), Length: int(min(chunk, size-done))},
		}})
		if err != nil {
			return err
		}
		if len(text) == 0 {
			return io.ErrUnexpectedEOF
		}
		if _, err := t.tar.Write(text); err != nil {
			return err
		}
		done += int64(len(text))
	}
	return nil
}

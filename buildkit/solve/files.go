package solve

import (
	"context"
	"io"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"

	"github.com/slipway-ci/slipway/buildkit"
)

// Files writes the file system of an image as a tar, with its owners and modes.
// Of an image of several platforms it is that of the builder's own.
func (b *Builder) Files(ctx context.Context, img buildkit.Image, w io.Writer, watch func(buildkit.Progress)) error {
	at, err := b.locate(ctx, img)
	if err != nil {
		return err
	}
	c, err := b.client(ctx)
	if err != nil {
		return err
	}
	opt := client.SolveOpt{
		Internal: true,
		Session:  []session.Attachable{b.auth()},
		Exports: []client.ExportEntry{{
			Type:   client.ExporterTar,
			Output: func(map[string]string) (io.WriteCloser, error) { return unclosed{w}, nil },
		}},
	}
	if opt.OCIStores, err = b.stores(ctx); err != nil {
		return err
	}
	f := newFollower(buildkit.Spec{}, watch)
	_, err = c.Build(ctx, opt, "", func(ctx context.Context, g gateway.Client) (*gateway.Result, error) {
		def, err := at.state(g.BuildOpts().SessionID, llb.WithCustomName("load "+buildkit.Short(img.Digest))).Marshal(ctx)
		if err != nil {
			return nil, err
		}
		return g.Solve(ctx, gateway.SolveRequest{Definition: def.ToPB(), Evaluate: true})
	}, f.start())
	f.wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return reword(err)
	}
	return nil
}

// state is the file system of the image at a location.
func (at location) state(session string, name llb.ConstraintsOpt) llb.State {
	if at.registry {
		return llb.Image(at.ref, name)
	}
	// A name is wanted; the store is asked by digest.
	return llb.OCILayout("docker.io/library/"+at.ref, llb.OCIStore(session, storeName), name)
}

// unclosed is a writer that somebody else closes.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

package solve

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/slipway-ci/slipway/buildkit"
)

// A Builder builds with the buildkitd behind Dial. It dials at the first call
// and keeps one connection; all methods may be called at the same time.
type Builder struct {
	// Dial connects to a buildkitd. Its error comes back from the call that
	// needed the connection, with its type.
	Dial func(ctx context.Context) (net.Conn, error)
	// Auth answers who we are at a registry; nil means Docker's configuration.
	Auth func(ctx context.Context, host string) (Credentials, error)

	// Patience is how long a token service may be silent; zero means
	// [buildkit.Patience].
	Patience time.Duration

	// Env looks environment variables up: those with which GitHub's runners say
	// where their cache is. Nil means that there are none.
	Env func(name string) (string, bool)

	// Docker says that the builder is a Docker, which removes at any moment what no
	// image of its own holds.
	Docker bool

	// Sent is a folder that remembers what a builder that is not our own was sent, so that
	// only what has changed is sent again. It is made when it is needed; empty, all files of
	// a context are sent when one has changed. Forgetting is safe; being older than the
	// builder is not, for then an edit may be missed. So it is for a builder whose
	// state is kept, copied and restored together with this folder.
	Sent string

	// Known says what is known of the files of a context, so that they are not read once
	// more before they are sent. Nil means nothing.
	Known Digests

	mu     sync.Mutex
	conn   *client.Client
	first  chan net.Conn // holds the connection that was dialled ahead, until gRPC takes it
	docker dockerConfig
	others *fleetStore // of a Fleet that it belongs to; nil: it stands alone

	attested map[string][]buildkit.Statement // by digest of the image
}

// client returns the one client. It dials before gRPC does: gRPC would give up
// after twenty seconds while we may wait for another process's lock, and would
// lose the type of the error.
func (b *Builder) client(ctx context.Context) (*client.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		return b.conn, nil
	}
	conn, err := b.Dial(ctx)
	if err != nil {
		return nil, err
	}
	first := make(chan net.Conn, 1)
	first <- conn
	c, err := client.New(context.WithoutCancel(ctx), "", client.WithContextDialer(
		func(ctx context.Context, _ string) (net.Conn, error) {
			select {
			case conn := <-first:
				return conn, nil
			default:
				return b.Dial(ctx)
			}
		}))
	if err != nil {
		conn.Close()
		return nil, err
	}
	b.conn, b.first = c, first
	return c, nil
}

// Close ends the connection. What the buildkitd holds stays there.
func (b *Builder) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return nil
	}
	err := b.conn.Close()
	select {
	case conn := <-b.first:
		conn.Close()
	default:
	}
	b.conn, b.first = nil, nil
	return err
}

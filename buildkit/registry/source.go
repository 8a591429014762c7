package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// A source is where an image comes from: the builder or a registry.
type source interface {
	// manifest returns a manifest or index whose digest is verified.
	manifest(ctx context.Context, d descriptor) (*manifest, error)
	// blob opens a blob. Reading it fails before its end if it is not what the
	// descriptor says.
	blob(ctx context.Context, d descriptor) (io.ReadCloser, error)
}

// A sourceError is a fault of the builder's content store, not of a registry.
type sourceError struct {
	digest string
	err    error
}

func (e *sourceError) Error() string { return fmt.Sprintf("built content %s: %v", e.digest, e.err) }
func (e *sourceError) Unwrap() error { return e.err }

// sourceFault returns the sourceError in err, or nil.
func sourceFault(err error) error {
	if e, ok := errors.AsType[*sourceError](err); ok {
		return e
	}
	return nil
}

// built is what the builder built.
type built struct{ content Content }

func (b built) manifest(ctx context.Context, d descriptor) (*manifest, error) {
	r, err := b.open(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := readLimited(r)
	if err == nil && digestOf(raw) != d.Digest {
		err = errDigest
	}
	var m *manifest
	if err == nil {
		m, err = parseManifest(raw, d.MediaType)
	}
	if err != nil {
		return nil, &sourceError{d.Digest, err}
	}
	return m, nil
}

func (b built) open(ctx context.Context, digest string) (io.ReadCloser, error) {
	if b.content == nil {
		return nil, &sourceError{digest, errors.New("there is no builder here that could hold it")}
	}
	r, err := b.content.Open(ctx, digest)
	if err != nil {
		return nil, &sourceError{digest, err}
	}
	return r, nil
}

func (b built) blob(ctx context.Context, d descriptor) (io.ReadCloser, error) {
	r, err := b.open(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	return verify(r, d, func(err error) error { return &sourceError{d.Digest, err} }), nil
}

// pushed is what lies in a repository.
type pushed struct {
	client *Client
	repo   repository
}

func (p pushed) manifest(ctx context.Context, d descriptor) (*manifest, error) {
	return p.client.getManifest(ctx, p.repo, d.Digest)
}

func (p pushed) blob(ctx context.Context, d descriptor) (body io.ReadCloser, err error) {
	err = p.client.retry(ctx, func() error {
		client, err := p.client.session(ctx, p.repo, transport.PullScope)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.repo.url("blobs", d.Digest).String(), nil)
		if err != nil {
			return err
		}
		resp, err := p.client.do(client, req, http.StatusOK)
		if err != nil {
			return err
		}
		body = verify(resp.Body, d, func(err error) error {
			return &netError{fmt.Errorf("from %s: %w", p.repo.text, err)}
		})
		return nil
	})
	return body, err
}

// A verifier reads content and fails at its end if it is not what the
// descriptor says. The last bytes are held back until they are known to be
// right: a registry that has counted all of them would take them for the blob.
type verifier struct {
	r     io.ReadCloser
	want  descriptor
	hash  hash.Hash
	n     int64
	blame func(error) error // says whose fault an error is
}

func verify(r io.ReadCloser, want descriptor, blame func(error) error) io.ReadCloser {
	return &verifier{r: r, want: want, hash: sha256.New(), blame: blame}
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	switch {
	case v.n > v.want.Size:
		return 0, v.blame(fmt.Errorf("%w: %s has more than %d bytes", errDigest, v.want.Digest, v.want.Size))
	case v.n == v.want.Size && "sha256:"+hex.EncodeToString(v.hash.Sum(nil)) != v.want.Digest:
		return 0, v.blame(fmt.Errorf("%w: %s", errDigest, v.want.Digest))
	case err == io.EOF && v.n < v.want.Size:
		return n, v.blame(fmt.Errorf("%s ended after %d of %d bytes: %w", v.want.Digest, v.n, v.want.Size, io.ErrUnexpectedEOF))
	case err != nil && err != io.EOF:
		return n, v.blame(err)
	}
	return n, err
}

func (v *verifier) Close() error { return v.r.Close() }

// A body is a blob on its way up.
type body struct {
	io.ReadCloser
	n      int64
	seen   func(n int64) // told how much was read so far
	closed atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.closed.Load() {
		// A login that ended in the middle makes the transport send the request again.
		return 0, &netError{errors.New("the upload has to start again")}
	}
	n, err := b.ReadCloser.Read(p)
	if b.n += int64(n); n > 0 {
		b.seen(b.n)
	}
	return n, err
}

func (b *body) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}

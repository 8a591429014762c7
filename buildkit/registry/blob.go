package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/slipway-ci/slipway/buildkit"
)

type blobKey struct{ host, digest string }

// A blob is what a Client knows of a blob in one registry.
type blob struct {
	turn  chan struct{} // held by who brings the blob up
	repos []repository  // that hold it
}

func (c *Client) blob(host, digest string) *blob {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := blobKey{host, digest}
	b := c.blobs[k]
	if b == nil {
		b = &blob{turn: make(chan struct{}, 1)}
		c.blobs[k] = b
	}
	return b
}

// ensure brings a blob into the repository: it may be there, or in another
// repository of the registry, or go up. Of all pushes that need a blob one
// brings it up, and the others mount it.
func (t *transfer) ensure(ctx context.Context, d descriptor) error {
	p := buildkit.Progress{Vertex: d.Digest, Name: "push " + buildkit.Short(d.Digest), Started: time.Now(), Total: d.Size}
	t.watch(p)
	b := t.client.blob(t.repo.RegistryStr(), d.Digest)
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-b.turn }()

	there := func(r repository) bool { return r.RepositoryStr() == t.repo.RepositoryStr() }
	sent := false
	if !slices.ContainsFunc(b.repos, there) {
		var err error
		if sent, err = t.bring(ctx, d, b.repos, p); err != nil {
			p.Error, p.Completed = err.Error(), time.Now()
			t.watch(p)
			return err
		}
		b.repos = append(b.repos, t.repo)
	}
	p.Cached, p.Done, p.Completed = !sent, d.Size, time.Now()
	t.watch(p)
	return nil
}

// bring brings up a blob that this Client did not see in the repository yet. It
// reports whether bytes were sent.
func (t *transfer) bring(ctx context.Context, d descriptor, from []repository, p buildkit.Progress) (sent bool, err error) {
	release, err := t.client.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if found, err := t.has(ctx, d.Digest); found || err != nil {
		return false, err
	}
	if t.near != nil {
		from = append([]repository{*t.near}, from...)
	}
	if len(from) == 0 {
		from = t.origins(ctx, d.Digest)
	}
	var start *url.URL
	if len(from) > 0 {
		var mounted bool
		if start, mounted, err = t.mount(ctx, d.Digest, from[len(from)-1]); mounted || err != nil {
			return false, err
		}
	}
	return true, t.upload(ctx, d, start, p)
}

// Origins is a [Content] that knows from which repositories it got a blob, such
// as a layer of a base.
type Origins interface {
	Origins(ctx context.Context, digest string) []string
}

// origins returns the repositories of the same registry that a blob came from.
func (t *transfer) origins(ctx context.Context, digest string) []repository {
	from, ok := t.from.(built)
	if !ok {
		return nil
	}
	known, ok := from.content.(Origins) // not the Client's: an artifact has nothing to do with it
	if !ok {
		return nil
	}
	var all []repository
	for _, text := range known.Origins(ctx, digest) {
		r, err := t.client.repository(text)
		if err == nil && r.RegistryStr() == t.repo.RegistryStr() && r.RepositoryStr() != t.repo.RepositoryStr() {
			all = append(all, r)
		}
	}
	return all
}

// acquire waits for a place among the transfers of a Client.
func (c *Client) acquire(ctx context.Context) (release func(), err error) {
	select {
	case c.requests <- struct{}{}:
		return func() { <-c.requests }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (t *transfer) has(ctx context.Context, digest string) (found bool, err error) {
	err = t.client.retry(ctx, func() error {
		client, err := t.client.session(ctx, t.repo, transport.PushScope)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, t.repo.url("blobs", digest).String(), nil)
		if err != nil {
			return err
		}
		resp, err := t.client.do(client, req, http.StatusOK)
		if errors.Is(err, buildkit.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		discard(resp)
		found = true
		return nil
	})
	return found, err
}

// mount asks the registry to take a blob from another of its repositories. A
// registry may start an upload instead, or not know of mounts at all: neither is
// an error, the blob goes up then.
func (t *transfer) mount(ctx context.Context, digest string, from repository) (start *url.URL, mounted bool, err error) {
	err = t.client.retry(ctx, func() error {
		client, err := t.client.session(ctx, t.repo, transport.PushScope, from)
		if err != nil {
			return err
		}
		u := t.repo.url("blobs", "uploads", "")
		u.RawQuery = url.Values{"mount": {digest}, "from": {from.RepositoryStr()}}.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
		if err != nil {
			return err
		}
		resp, err := t.client.do(client, req, http.StatusCreated, http.StatusAccepted)
		if err != nil {
			return err
		}
		discard(resp)
		mounted = resp.StatusCode == http.StatusCreated
		if !mounted {
			start, err = location(resp)
		}
		return err
	})
	if isAnswer(err) {
		return nil, false, nil
	}
	return start, mounted, err
}

// upload sends a blob. The first try goes to start, if there is one; each
// further try starts an upload of its own, for what became of the last is not known.
func (t *transfer) upload(ctx context.Context, d descriptor, start *url.URL, p buildkit.Progress) error {
	return t.client.retry(ctx, func() error {
		client, err := t.client.session(ctx, t.repo, transport.PushScope)
		if err != nil {
			return err
		}
		to := start
		start = nil
		if to == nil {
			if to, err = t.begin(ctx, client); err != nil {
				return err
			}
		}
		r, err := t.from.blob(ctx, d)
		if err != nil {
			return &finalError{err} // the source was asked again already
		}
		q := to.Query()
		q.Set("digest", d.Digest)
		to.RawQuery = q.Encode()
		p.Done = 0
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, to.String(), &body{ReadCloser: r, seen: t.every(p)})
		if err != nil {
			r.Close()
			return err
		}
		if req.ContentLength = d.Size; d.Size == 0 {
			r.Close()
			req.Body = http.NoBody
		}
		req.Header.Set("Content-Type", "application/octet-stream")
		resp, err := t.client.do(client, req, http.StatusCreated)
		if err != nil {
			return err
		}
		discard(resp)
		if got := resp.Header.Get("Docker-Content-Digest"); got != "" && got != d.Digest {
			return fmt.Errorf("%w: %s was stored as %s", errDigest, d.Digest, harmless(got))
		}
		return nil
	})
}

// begin starts an upload and returns where its bytes go.
func (t *transfer) begin(ctx context.Context, client *http.Client) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.repo.url("blobs", "uploads", "").String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := t.client.do(client, req, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	discard(resp)
	return location(resp)
}

// location returns where a registry says that an upload goes on.
func location(resp *http.Response) (*url.URL, error) {
	to, err := resp.Location()
	if err != nil || to.Host == "" {
		return nil, errors.New("the registry did not say where the upload goes")
	}
	return to, nil
}

// every returns a func that reports how much of a blob was sent, ten times a
// second at most.
func (t *transfer) every(p buildkit.Progress) func(int64) {
	var last time.Time
	return func(n int64) {
		if now := time.Now(); now.Sub(last) >= 100*time.Millisecond {
			last = now
			p.Done = min(n, cmp.Or(p.Total, n))
			t.watch(p)
		}
	}
}

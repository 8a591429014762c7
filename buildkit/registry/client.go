package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/slipway-ci/slipway/buildkit"
)

// A Client speaks with registries. It remembers what it saw and sent: use one
// for a whole run, from as many goroutines as you like. Its zero value works,
// but has nothing to push.
type Client struct {
	PlainHTTP []string // hosts that may be spoken to without TLS; loopback always may
	// Mirrors are where [Client.ResolveBase] looks first, by host.
	Mirrors  map[string][]string
	Keychain authn.Keychain // nil means Docker's configuration
	Content  Content        // the builder's; nil means that nothing can be pushed
	Patience time.Duration  // how long a registry may be silent; zero means [buildkit.Patience]
	Log      *slog.Logger   // nil discards

	backoff time.Duration                               // first wait before something is tried again; zero means 250 ms
	slow    time.Duration                               // when a question no longer counts; zero means a second
	pause   func(context.Context, time.Duration) error  // waits; nil means a timer
	dial    func(context.Context, string, string) error // is asked before a connection is made; nil allows all

	once      sync.Once
	wires     wires
	pings     pings
	requests  chan struct{} // one element for each transfer that runs
	questions chan struct{} // one element for each question that may soon be answered

	mu       sync.Mutex
	sessions map[string]*session
	blobs    map[blobKey]*blob
	contents map[string]*contents
}

// Content is where manifests and blobs lie that were built. Open fails if there
// is nothing of the digest; what it returns need not be verified yet.
type Content interface {
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
}

// transfers is how many blobs and manifests a Client sends at the same time.
const transfers = 6

func (c *Client) init() {
	c.once.Do(func() {
		c.wires = c.newWires()
		c.requests = make(chan struct{}, transfers)
		c.questions = make(chan struct{}, questions)
		c.sessions = map[string]*session{}
		c.blobs = map[blobKey]*blob{}
		c.contents = map[string]*contents{}
	})
}

func (c *Client) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// A repository is a parsed repository.
type repository struct {
	name.Repository
	text string // as it was written
}

// host returns the registry as people know it.
func (r repository) host() string { return buildkit.Host(r.text) }

func (r repository) url(parts ...string) *url.URL {
	return &url.URL{
		Scheme: "https", // the session knows better once it has asked
		Host:   r.RegistryStr(),
		Path:   "/v2/" + r.RepositoryStr() + "/" + strings.Join(parts, "/"),
	}
}

func (c *Client) repository(text string) (repository, error) {
	c.init()
	var opts []name.Option
	if c.plain(buildkit.Host(text)) {
		opts = append(opts, name.Insecure)
	}
	r, err := name.NewRepository(text, opts...)
	if err != nil {
		return repository{}, fmt.Errorf("repository %q is not like registry.example/team/app: %w", text, err)
	}
	return repository{Repository: r, text: text}, nil
}

// splitRef splits "repository[:tag][@digest]".
func splitRef(ref string) (repository, tag, digest string, err error) {
	repository, digest, pinned := strings.Cut(ref, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository, tag = repository[:i], repository[i+1:]
		if !buildkit.IsTag(tag) {
			return "", "", "", fmt.Errorf("reference %q: %q is no tag", ref, tag)
		}
	}
	if pinned && !buildkit.IsDigest(digest) {
		return "", "", "", fmt.Errorf("reference %q: %q is not like sha256:<64 hex digits>", ref, digest)
	}
	return repository, tag, digest, nil
}

// A session is a client that is logged in for some scopes.
type session struct {
	turn   chan struct{} // held by who logs in
	client *http.Client
}

// session returns a client that may do in the repository what the scopes say,
// and pull from the other repositories of the same registry.
func (c *Client) session(ctx context.Context, repo repository, scope string, pullFrom ...repository) (*http.Client, error) {
	scopes := []string{repo.Scope(scope)}
	for _, from := range pullFrom {
		scopes = append(scopes, from.Scope(transport.PullScope))
	}
	id := repo.RegistryStr() + " " + strings.Join(scopes, " ")
	c.mu.Lock()
	s := c.sessions[id]
	if s == nil {
		s = &session{turn: make(chan struct{}, 1)}
		c.sessions[id] = s
	}
	c.mu.Unlock()

	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	if s.client != nil {
		return s.client, nil
	}
	auth, err := authn.Resolve(ctx, c.keychain(), repo)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	wire, after := c.wire(repo.RegistryStr()), new(atomic.Int64)
	login := roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := wire.RoundTrip(req)
		if err == nil {
			after.Store(int64(buildkit.RetryAfter(resp.Header.Get("Retry-After"), time.Now())))
		}
		return resp, err
	})
	rt, err := transport.NewWithContext(ctx, repo.Registry, auth, c.pings.through(login), scopes)
	if errors.Is(err, http.ErrSchemeMismatch) && !c.plain(repo.RegistryStr()) {
		return nil, noTLS(repo.RegistryStr())
	}
	if wait := time.Duration(after.Load()); err != nil && wait > 0 {
		return nil, &busyError{wait, err}
	}
	if err != nil {
		return nil, err
	}
	s.client = &http.Client{Transport: rt, CheckRedirect: checkRedirect}
	return s.client, nil
}

// do sends one request and returns the answer if its status is one of ok.
func (c *Client) do(client *http.Client, req *http.Request, ok ...int) (*http.Response, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, wireError(err)
	}
	c.log().DebugContext(req.Context(), "registry", "method", req.Method, "host", req.URL.Host, "path", req.URL.Path, "status", resp.StatusCode)
	for _, status := range ok {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	defer resp.Body.Close()
	return nil, readAnswer(resp)
}

// discard reads what is left of an answer, so that its connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // an error costs a connection and nothing else
	resp.Body.Close()
}

// fault says which registry and reference an error is about. What came out of
// the builder or a canceled context is not the registry's.
func (c *Client) fault(ctx context.Context, repo repository, ref string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e := sourceFault(err); e != nil {
		return e
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = downError{err}
	}
	return &buildkit.RegistryError{Host: repo.host(), Ref: cmp.Or(ref, repo.text), Err: loginHint(repo.host(), err)}
}

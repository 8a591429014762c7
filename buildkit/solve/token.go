package solve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	authutil "github.com/containerd/containerd/v2/core/remotes/docker/auth"
	remotes "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/buildkit/session/auth"

	"github.com/slipway-ci/slipway/buildkit"
)

// leastExpiry is how many seconds a token is good for that does not say so
// (distribution's token specification).
const leastExpiry = 60

// fetchToken asks the token service that a registry named, as who. BuildKit's own
// way of it connects to whatever a registry names, and sends a password with a
// POST that follows redirects: this one does not go to link-local addresses, and
// takes credentials neither to another host than the one that was named nor over
// an unprotected connection to a machine that is not this one or the registry.
func fetchToken(ctx context.Context, req *auth.FetchTokenRequest, who types.AuthConfig, patience time.Duration) (*auth.FetchTokenResponse, error) {
	to := authutil.TokenOptions{Realm: req.Realm, Service: req.Service, Scopes: req.Scopes, Username: who.Username, Secret: who.Password}
	if who.IdentityToken != "" {
		to.Username, to.Secret = "", who.IdentityToken
	}
	realm, err := url.Parse(req.Realm)
	if err != nil || realm.Host == "" {
		return nil, tokenError(req.Host, fmt.Errorf("its URL is said to be %q", req.Realm))
	}
	if to.Secret != "" && realm.Scheme != "https" && realm.Host != req.Host && !loopback(realm.Hostname()) {
		return nil, tokenError(req.Host, buildkit.RefusedError("it wants credentials to be sent to "+realm.Host+" without TLS"))
	}
	client := &http.Client{
		Transport: buildkit.Steady(buildkit.Guarded(http.DefaultTransport.(*http.Transport), req.Host, patience), buildkit.Busy),
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if len(via) >= 10 {
				return errors.New("it redirects in circles")
			}
			if to.Secret != "" && next.URL.Host != via[0].URL.Host {
				return buildkit.RefusedError("it leads to " + next.URL.Host + ", where credentials for " + req.Host + " must not go")
			}
			return nil
		},
	}
	if to.Secret != "" {
		got, err := authutil.FetchTokenWithOAuth(ctx, client, nil, "buildkit-client", to)
		if err == nil {
			return token(got.AccessToken, got.IssuedAt, got.ExpiresInSeconds), nil
		}
		if !noOAuth(err) {
			return nil, tokenError(req.Host, err)
		}
	}
	got, err := authutil.FetchToken(ctx, client, nil, to)
	if err != nil {
		return nil, tokenError(req.Host, err)
	}
	return token(got.Token, got.IssuedAt, got.ExpiresInSeconds), nil
}

// tokenError says whose token service an error is about, in words that [reword]
// finds again: nothing typed comes back from a buildkitd.
func tokenError(host string, err error) error {
	return fmt.Errorf("token service of %s: %w", host, err)
}

var tokenFault = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`token service of (\S+): (.*)`) })

// noOAuth reports whether a token service answered as one that knows no POST:
// GCR with 404, JFrog's with 401, others with 405.
func noOAuth(err error) bool {
	answer, ok := errors.AsType[remotes.ErrUnexpectedStatus](err)
	return ok && slices.Contains([]int{http.StatusNotFound, http.StatusUnauthorized, http.StatusMethodNotAllowed}, answer.StatusCode)
}

func token(text string, issued time.Time, expires int) *auth.FetchTokenResponse {
	answer := &auth.FetchTokenResponse{Token: text, ExpiresIn: int64(cmp.Or(expires, leastExpiry))}
	if !issued.IsZero() {
		answer.IssuedAt = issued.Unix()
	}
	return answer
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

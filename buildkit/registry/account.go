package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// An Account is who we are at a repository.
type Account struct {
	Host string // the registry
	User string // empty: nobody; "a token" where credentials have no name
	Push error  // why we may not push; nil: we may
}

// Account finds out whether a registry answers, who we are there, and whether
// we may push to the repository. To find that out it begins an upload and takes
// it back: nothing stays. Its error is a [buildkit.RegistryError] if the registry
// does not answer, or does not take our credentials.
func (c *Client) Account(ctx context.Context, repository string) (Account, error) {
	repo, err := c.repository(repository)
	if err != nil {
		return Account{}, err
	}
	a := Account{Host: repo.host()}
	auth, err := authn.Resolve(ctx, c.keychain(), repo)
	if err == nil {
		a.User, err = userOf(ctx, auth)
	}
	if err != nil {
		return a, c.fault(ctx, repo, "", fmt.Errorf("credentials: %w", err))
	}
	err = c.retry(ctx, func() error { return c.tryPush(ctx, repo) })
	if refused(err) && ctx.Err() == nil {
		a.Push, err = c.fault(ctx, repo, "", err), c.ping(ctx, repo)
	}
	return a, c.fault(ctx, repo, "", err)
}

func (c *Client) keychain() authn.Keychain {
	if c.Keychain == nil {
		return authn.DefaultKeychain
	}
	return c.Keychain
}

// userOf returns the name that credentials have.
func userOf(ctx context.Context, auth authn.Authenticator) (string, error) {
	if auth == authn.Anonymous {
		return "", nil
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil || *config == (authn.AuthConfig{}) {
		return "", err
	}
	return cmp.Or(config.Username, "a token"), nil
}

// refused reports whether a registry answered that we may not do this.
func refused(err error) bool {
	if a, ok := errors.AsType[*answer](err); ok {
		return a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status == http.StatusMethodNotAllowed
	}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden
	}
	return false
}

// tryPush begins an upload and takes it back.
func (c *Client) tryPush(ctx context.Context, repo repository) error {
	client, err := c.session(ctx, repo, transport.PushScope)
	if err != nil {
		return err
	}
	at, err := (&transfer{client: c, repo: repo}).begin(ctx, client)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, at.String(), nil)
	if err != nil {
		return err
	}
	if resp, err := client.Do(req); err == nil { // a registry that cannot take it back forgets it by itself
		discard(resp)
	}
	return nil
}

// ping asks whether there is a registry that takes our credentials, if any, to
// pull. That it wants some when we have none is an answer, too.
func (c *Client) ping(ctx context.Context, repo repository) error {
	_, err := c.session(ctx, repo, transport.PullScope)
	return err
}

package solve

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/auth/authprovider"
	"google.golang.org/grpc"
)

// Credentials say who we are at a registry. The zero value is nobody.
type Credentials struct {
	Username, Password string
	IdentityToken      string // refreshes a token
	RegistryToken      string // is sent as it is
}

// A dockerConfig reads Docker's configuration once, when it is first needed.
type dockerConfig struct {
	once   sync.Once
	lookup authprovider.AuthConfigProvider
}

// auth returns what answers a buildkitd that asks for credentials. They stay in
// this process: the buildkitd is given tokens.
func (b *Builder) auth() session.Attachable {
	lookup := b.lookup
	if b.Auth == nil {
		b.docker.once.Do(func() {
			b.docker.lookup = authprovider.LoadAuthConfig(config.LoadDefaultConfigFile(io.Discard))
		})
		lookup = b.docker.lookup
	}
	rest := authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{AuthConfigProvider: lookup})
	return &authServer{AuthServer: rest.(auth.AuthServer), lookup: lookup, patience: b.Patience}
}

// An authServer is BuildKit's, but for how it fetches tokens: see fetchToken.
type authServer struct {
	auth.AuthServer
	lookup   authprovider.AuthConfigProvider
	patience time.Duration
}

// Register is what makes it a [session.Attachable].
func (s *authServer) Register(server *grpc.Server) { auth.RegisterAuthServer(server, s) }

// FetchToken answers a buildkitd that a registry sent to a token service.
func (s *authServer) FetchToken(ctx context.Context, req *auth.FetchTokenRequest) (*auth.FetchTokenResponse, error) {
	who, err := s.lookup(ctx, req.Host, req.Scopes, stale)
	if err != nil {
		return nil, err
	}
	if who.RegistryToken != "" {
		return &auth.FetchTokenResponse{Token: who.RegistryToken, ExpiresIn: leastExpiry}, nil
	}
	return fetchToken(ctx, req, who, s.patience)
}

// stale reports whether credentials that a helper gave are asked for again. Those
// of Google's Artifact Registry end after five minutes.
func stale(created time.Time, _ string) bool { return time.Since(created) > 290*time.Second }

func (b *Builder) lookup(ctx context.Context, host string, _ []string, _ authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
	if host == authprovider.DockerHubRegistryHost {
		host = "docker.io"
	}
	c, err := b.Auth(ctx, host)
	if err != nil {
		return types.AuthConfig{}, err
	}
	return types.AuthConfig{
		ServerAddress: host,
		Username:      c.Username,
		Password:      c.Password,
		IdentityToken: c.IdentityToken,
		RegistryToken: c.RegistryToken,
	}, nil
}

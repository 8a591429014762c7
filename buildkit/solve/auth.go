package solve

import (
	"context"
	"io"
	"sync"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
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
	return authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{AuthConfigProvider: lookup})
}

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

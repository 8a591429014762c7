package e2e_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// buildOnly is a pipeline that builds the folder app and pushes it to $REPOSITORY.
const buildOnly = `slipway: v1
name: it
vars:
  repository: {env: REPOSITORY, default: 127.0.0.1:1/it/app}
  pause: {default: "0"}
stages:
  app:
    build:
      context: app
      args: {PAUSE: "${{ vars.pause }}"}
      push: {repository: "${{ vars.repository }}", tags: [latest]}
`

// appTree is buildOnly with a Dockerfile that ends with some lines.
func appTree(lines ...string) files {
	return files{
		"slipway.yaml":    buildOnly,
		"app/busybox":     "",
		"app/Dockerfile":  "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n" + strings.Join(lines, "\n") + "\n",
		"app/www/a.html":  "a\n",
		"app/www/b/c.txt": "c\n",
	}
}

// digest returns the digest of what a repository holds under latest.
func (r *plainRegistry) digest(t *testing.T, repository string) string {
	t.Helper()
	ref, err := name.NewTag(r.host+"/"+repository+":latest", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.Head(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return d.Digest.String()
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// refusingRegistry is a registry that answers some methods with 403.
func refusingRegistry(t *testing.T, methods ...string) string {
	t.Helper()
	well := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			well.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"errors": [{"code": "DENIED", "message": "not for you"}]}`)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

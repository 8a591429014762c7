package registry_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/slipway-ci/slipway/buildkit/registry"
)

func ExampleServer() {
	dir, err := os.MkdirTemp("", "registry")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	server := httptest.NewServer(&registry.Server{Dir: dir})
	defer server.Close()

	client := &registry.Client{Keychain: authn.NewMultiKeychain()}
	host := strings.TrimPrefix(server.URL, "http://")
	_, err = client.Resolve(context.Background(), host+"/shop/api:v1")
	fmt.Println(strings.ReplaceAll(err.Error(), host, "localhost:5000"))
	// Output: registry localhost:5000: localhost:5000/shop/api:v1: 404 Not Found
}

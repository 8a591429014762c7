package e2e_test

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// plainRegistry is an OCI registry in this process, on loopback, over plain HTTP.
type plainRegistry struct {
	host    string
	handler http.Handler
}

func startRegistry() (*plainRegistry, *httptest.Server) {
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(handler)
	return &plainRegistry{strings.TrimPrefix(server.URL, "http://"), handler}, server
}

// inside serves what r holds on an address of the real node, which pods reach, and returns its
// host. The cluster must be up.
func (r *plainRegistry) inside(t *testing.T) string {
	t.Helper()
	on, err := net.Listen("tcp", "10.243.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: on, Config: &http.Server{Handler: r.handler}}
	server.Start()
	t.Cleanup(server.Close)
	return on.Addr().String()
}

// newRegistry starts a registry for one test alone.
func newRegistry(t *testing.T) *plainRegistry {
	r, server := startRegistry()
	t.Cleanup(server.Close)
	return r
}

// sharedRegistry is the registry of the run, known to the real node. It lives as long as the run;
// tests keep apart by repository.
var sharedRegistry = sync.OnceValue(func() *plainRegistry {
	r, _ := startRegistry()
	return r
})

// push stores an image of testapp that runs in a mode, and returns its digest.
func (r *plainRegistry) push(t *testing.T, repository, tag, mode string) string {
	t.Helper()
	image, err := appImage(mode)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(r.host+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// testapp compiles the program once, with the flags of everything else in this module: others
// would compile the standard library again.
var testapp = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "testapp")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "testapp")
	cmd := exec.Command("go", "build", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags=-s -w", "-o", file, "./testapp")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// appImage is a FROM-scratch image with testapp in it. The same mode gives the same digest.
func appImage(mode string) (v1.Image, error) {
	program, err := testapp()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "testapp", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return oneLayer(b.Bytes(), "amd64", func(c *v1.Config) { c.Entrypoint = []string{"/testapp", mode} })
}

// oneLayer makes an image of an archive.
func oneLayer(archive []byte, arch string, configure func(*v1.Config)) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }, tarball.WithCompressionLevel(1))
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", arch
	configure(&file.Config)
	return mutate.ConfigFile(image, file)
}

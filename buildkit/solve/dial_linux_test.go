package solve_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/embed"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

func TestDialRefuses(t *testing.T) {
	for _, address := range []string{"", "nowhere", "tcp://host", "tcp://host:1/path", "unix://host/path", "http://x", "::"} {
		if _, err := solve.Dial(address, solve.Certificate{}); err == nil || !strings.Contains(err.Error(), "builder") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"unix:///run/x.sock", "tcp://127.0.0.1:1", "kube-pod://b?namespace=ci", "docker-container://b", "ssh://me@there", "docker"} {
		if _, err := solve.Dial(address, solve.Certificate{}); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	dial, err := solve.Dial("unix:///does/not/exist", solve.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t.Context()); !errors.As(err, new(*buildkit.HostError)) {
		t.Errorf("nobody listens: %v", err)
	}
	if _, err := solve.Dial("tcp://h:1", solve.Certificate{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "has no ca.pem or ca.crt") {
		t.Errorf("without certificates: %v", err)
	}
}

// authority writes the certificates of a server and of a client.
func authority(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "builder"}, DNSNames: []string{"builder.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{
		"ca.crt": text, "tls.crt": text, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// forward lets connections of a listener be ones to a solver.
func forward(t *testing.T, lis net.Listener, first func(net.Conn) (net.Conn, error)) {
	t.Helper()
	solver := &embed.Solver{State: t.TempDir()}
	t.Cleanup(func() { lis.Close(); solver.Close() })
	go func() {
		for {
			in, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				if in, err = first(in); err != nil {
					in.Close()
					return
				}
				out, err := solver.Dial(t.Context())
				if err != nil {
					in.Close()
					return
				}
				join(in, out)
			}()
		}
	}()
}

func TestDialTLS(t *testing.T) {
	dir := authority(t)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	text, _ := os.ReadFile(filepath.Join(dir, "ca.crt"))
	pool.AppendCertsFromPEM(text)
	lis, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	forward(t, lis, func(c net.Conn) (net.Conn, error) { return c, nil })
	address := "tcp://" + lis.Addr().String()
	dial, err := solve.Dial(address, solve.Certificate{Dir: dir, ServerName: "builder.test"})
	if err != nil {
		t.Fatal(err)
	}
	b := &solve.Builder{Dial: dial, Auth: nobody}
	defer b.Close()
	build(t, b, buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n"})})

	wrong, err := solve.Dial(address, solve.Certificate{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a name that is not in the certificate: %v", err)
	}
	other, err := solve.Dial(address, solve.Certificate{Dir: authority(t), ServerName: "builder.test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other(t.Context()); err == nil {
		t.Error("another authority was believed")
	}
}

// Docker's daemon lets a request for /grpc become a connection to its BuildKit.
func TestDialDocker(t *testing.T) {
	dir, err := os.MkdirTemp("", "docker") //nolint:usetesting // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	sock := filepath.Join(dir, "sock")
	lis, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{
		"GET /info":  `{"ServerVersion": "29.1.0", "Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}`,
		"POST /grpc": "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	}
	forward(t, lis, func(c net.Conn) (net.Conn, error) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return c, err
			}
			asked := req.Method + " " + req.URL.Path
			text := answers[asked]
			if asked == "GET /info" {
				text = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			} else if req.Header.Get("Upgrade") != "h2c" {
				t.Errorf("asked for %s %v", asked, req.Header)
			}
			if _, err = io.WriteString(c, text); err != nil || asked != "GET /info" {
				return c, err
			}
		}
	})
	t.Setenv("DOCKER_HOST", "unix://"+sock)
	dial, err := solve.Dial("docker", solve.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	b := &solve.Builder{Dial: dial, Auth: nobody}
	build(t, b, buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n"})})
	b.Close()
	answers["POST /grpc"] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	if _, err := dial(t.Context()); err == nil || !strings.Contains(err.Error(), "no BuildKit") {
		t.Errorf("a Docker without it: %v", err)
	}
	answers["GET /info"] = `{"ServerVersion": "20.10.24", "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}`
	if _, err := dial(t.Context()); err == nil || !strings.Contains(err.Error(), "Docker 20.10.24 at unix://"+sock) || !strings.Contains(err.Error(), "containerd-snapshotter") {
		t.Errorf("a Docker that keeps images to itself: %v", err)
	}
}

// TestCache counts what a cache has: a file as it was sent and as it is in the image,
// and the layers that it was packed into, which are no smaller. One for another epoch
// takes the place of the first, one of another compression doesn't.
func TestCache(t *testing.T) {
	b := newBuilder(t)
	const size = 1 << 20
	random := make([]byte, size)
	_, _ = rand.Read(random)
	spec := buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY big /\n", "big": string(random)})}
	for _, of := range []struct {
		buildkit.Result
		times int64
	}{
		{buildkit.Result{Epoch: 0}, 3},
		{buildkit.Result{Epoch: 1}, 3},
		{buildkit.Result{Epoch: 1, Compression: buildkit.Compression{Type: "zstd"}}, 4},
	} {
		spec.Result = of.Result
		build(t, b, spec)
		before, err := b.Usage(t.Context())
		if err != nil || before.Bytes < of.times*size || before.Bytes > of.times*size+size/2 || before.Records == 0 {
			t.Fatalf("%+v: Usage = %+v, %v; want about %d times %d bytes", of.Result, before, err, of.times, size)
		}
	}
	if freed, err := b.Prune(t.Context(), solve.Limit{Keep: 1 << 30, Age: time.Hour}); err != nil || freed.Records != 0 {
		t.Errorf("within the limits: %+v, %v", freed, err)
	}
	freed, err := b.Prune(t.Context(), solve.Limit{All: true})
	if err != nil || freed.Bytes < 4*size {
		t.Errorf("Prune = %+v, %v", freed, err)
	}
	if after, err := b.Usage(t.Context()); err != nil || after.Bytes != 0 {
		t.Errorf("afterwards: %+v, %v", after, err)
	}
}

package solve

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRemoteUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	lis, err := net.Listen("unix", path)
	if err != nil {
		t.Skip(err)
	}
	defer lis.Close()
	conn, err := Remote{Address: "unix://" + path}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestRemoteTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	address := "tcp://" + strings.TrimPrefix(srv.URL, "https://")
	conn, err := Remote{Address: address, CA: ca}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := (Remote{Address: address, TLS: true}).Dial(t.Context()); err == nil {
		t.Error("trusts a certificate that nobody signed")
	}
	for _, bad := range []string{"", "ssh://host", "docker"} {
		if _, err := (Remote{Address: bad}).Dial(t.Context()); err == nil {
			t.Errorf("%q was dialled", bad)
		}
	}
}

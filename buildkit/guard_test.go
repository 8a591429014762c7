package buildkit_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

func TestLinkLocal(t *testing.T) {
	for address, want := range map[string]bool{
		"169.254.169.254": true, "::ffff:169.254.1.1": true, "fe80::1%lo": true, "fd00:ec2::254": true, "ff02::1": true,
		"127.0.0.1": false, "10.0.0.1": false, "::1": false, "fd00::1": false, "8.8.8.8": false,
	} {
		if got := buildkit.LinkLocal(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

func TestGuarded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	there := "http://[fe80::1%25lo]:1/"
	get := func(base *http.Transport, named, url string) error {
		resp, err := (&http.Client{Transport: buildkit.Guarded(base, named, 0)}).Get(url)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	refused := func(err error) bool { _, ok := errors.AsType[buildkit.RefusedError](err); return ok }
	if err := get(&http.Transport{}, "", srv.URL); err != nil {
		t.Errorf("loopback: %v", err)
	}
	if err := get(&http.Transport{}, "", there); !refused(err) {
		t.Errorf("link-local: got %v", err)
	}
	if err := get(&http.Transport{}, "[fe80::1%lo]:1", there); err == nil || refused(err) {
		t.Errorf("link-local that the user has named: got %v, want the answer of the network", err)
	}
	proxy, _ := url.Parse(srv.URL)
	if err := get(&http.Transport{Proxy: http.ProxyURL(proxy)}, "", "http://registry.invalid/"); err != nil {
		t.Errorf("through a proxy: %v", err)
	}
	if err := get(&http.Transport{Proxy: http.ProxyURL(proxy)}, "", there); !refused(err) {
		t.Errorf("link-local through a proxy: got %v", err)
	}
}

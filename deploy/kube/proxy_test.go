package kube

import "testing"

func TestProxyPath(t *testing.T) {
	for in, want := range map[string]string{
		"http://web/healthz?x=1":                 "/api/v1/namespaces/shop/services/web:80/proxy/healthz?x=1",
		"http://web.other:8080":                  "/api/v1/namespaces/other/services/web:8080/proxy",
		"https://web.other.svc.cluster.local/a/": "/api/v1/namespaces/other/services/https:web:443/proxy/a/",
		"https://shop.example.com":               "",
		"http://":                                "",
	} {
		got, err := proxyPath("shop", in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", in, got, err, want)
		}
	}
}

package buildkit_test

import (
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

func TestUnsigned(t *testing.T) {
	for text, want := range map[string]string{
		`Put "https://x.blob.example/c/1?se=2026&sig=abc%3D": dial tcp: refused`: `Put "https://x.blob.example/c/1": dial tcp: refused`,
		`403 for http://127.0.0.1:1/b?sig=x, range: bytes=1-`:                    `403 for http://127.0.0.1:1/b range: bytes=1-`,
		`what? https://example.com/a is no b?c`:                                  `what? https://example.com/a is no b?c`,
	} {
		if got := buildkit.Unsigned(text); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

package buildkit

import (
	"strings"
	"testing"
)

func TestIsTag(t *testing.T) {
	for text, want := range map[string]bool{
		"1": true, "_": true, "v1.2-rc_3": true, strings.Repeat("a", 128): true,
		"": false, ".1": false, "-1": false, "a b": false, "a/b": false, "é": false, "aé": false, strings.Repeat("a", 129): false,
	} {
		if got := IsTag(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestIsDigest(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for text, want := range map[string]bool{
		"sha256:" + hex: true,
		"":              false, hex: false, "sha256:": false, "sha256:" + hex[1:]: false, "sha256:" + hex + "0": false,
		"sha512:" + hex: false, "sha256:" + strings.ToUpper(hex): false, "sha256:" + hex[:32] + "g" + hex[33:]: false, " sha256:" + hex: false,
	} {
		if got := IsDigest(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

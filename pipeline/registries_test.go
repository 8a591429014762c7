package pipeline_test

import (
	"slices"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
)

func TestRegistries(t *testing.T) {
	r := pipeline.Registries{
		{Host: "localhost:5000", PullAs: "registry.kube-system:5000/local"},
		{Host: "r.example", HTTP: true},
		{Host: "docker.io", Mirrors: []string{"mirror.lan/hub", "r.example"}},
	}
	if got := r.PlainHTTP(); !slices.Equal(got, []string{"r.example"}) {
		t.Errorf("without TLS: %q", got)
	}
	if got := r.Mirrors(); len(got) != 1 || !slices.Equal(got["docker.io"], []string{"mirror.lan/hub", "r.example"}) {
		t.Errorf("mirrors: %q", got)
	}
	for ref, want := range map[string]string{
		"localhost:5000/shop/web:v1@sha256:1": "registry.kube-system:5000/local/shop/web:v1@sha256:1",
		"localhost:50001/shop/web":            "localhost:50001/shop/web",
		"r.example/web":                       "r.example/web",
	} {
		if got := r.Pulled(ref); got != want {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
}

package registry

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/slipway-ci/slipway/buildkit"
)

// TestLayouts reads what the builder holds: instructions stand at the layers that
// they made, those that made none at none, and attestations are no platform.
func TestLayouts(t *testing.T) {
	var store memory
	made := func(arch string, by ...string) v1.Image {
		img := empty.Image
		for _, text := range by {
			add := mutate.Addendum{History: v1.History{CreatedBy: text, EmptyLayer: true}}
			if text[0] != 'E' {
				var err error
				add.Layer, err = random.Layer(1000, "application/vnd.oci.image.layer.v1.tar+gzip")
				fatal(t, err)
				add.History.EmptyLayer = false
			}
			var err error
			img, err = mutate.Append(img, add)
			fatal(t, err)
		}
		cfg, err := img.ConfigFile()
		fatal(t, err)
		cfg = cfg.DeepCopy()
		cfg.OS, cfg.Architecture = "linux", arch
		img, err = mutate.ConfigFile(img, cfg)
		fatal(t, err)
		return img
	}
	img := store.index(t, map[string]v1.Image{
		"linux/amd64":     made("amd64", "COPY main / # buildkit", "ENV A=b", "RUN true"),
		"linux/arm64":     made("arm64", "COPY main / # buildkit"),
		"unknown/unknown": randomImage(t, 1),
	})
	got, err := newClient(&store).Layouts(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d platforms, want 2: %+v", len(got), got)
	}
	for _, l := range got {
		want := map[string][]string{"linux/amd64": {"COPY main /", "RUN true"}, "linux/arm64": {"COPY main /"}}[l.Platform]
		if len(l.Layers) != len(want) {
			t.Fatalf("%s: %+v, want layers of %q", l.Platform, l.Layers, want)
		}
		size := int64(0)
		for i, layer := range l.Layers {
			if layer.By != want[i] || int(layer.Size) != len(store.data[layer.Digest]) {
				t.Errorf("%s: layer %d is %+v, want one of %d bytes by %q", l.Platform, i, layer, len(store.data[layer.Digest]), want[i])
			}
			size += layer.Size
		}
		if l.Size <= size || l.Size > size+2000 {
			t.Errorf("%s: %d bytes, want those of the layers (%d) and of a config", l.Platform, l.Size, size)
		}
	}
	for digest := range store.data { // nothing may be needed from elsewhere, and nothing panics
		if _, err := newClient(&memory{data: map[string][]byte{img.Digest: store.data[img.Digest], digest: store.data[digest]}}).Layouts(t.Context(), img); err == nil {
			t.Error("an image of which nearly all is missing has layouts")
		}
	}
	if _, err := newClient(nil).Layouts(t.Context(), buildkit.Image{Digest: img.Digest}); err == nil {
		t.Error("there is no builder, and it has layouts")
	}
}

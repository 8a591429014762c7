package solve_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

// TestEpochs builds the same files with one epoch, another, and the first again, with
// one builder, which runs the steps once: each image is the one that a new builder
// makes, and no file in it is younger than its epoch.
func TestEpochs(t *testing.T) {
	dir := shellFolder(t, "RUN echo made > /made && echo it ran\nRUN rm /made && mkdir /more\nCOPY --link file /linked/\n", map[string]string{"file": "text\n"})
	b := newBuilder(t)
	fresh := map[int64]string{}
	for i, epoch := range []int64{0, 1_000_000_000, 0} {
		spec := buildkit.Spec{Context: dir, Result: buildkit.Result{Epoch: epoch}}
		got, r := build(t, b, spec)
		if ran := strings.Contains(r.log(), "it ran"); ran != (i == 0) {
			t.Errorf("build %d: that the steps ran is %t", i, ran)
		}
		if fresh[epoch] == "" {
			anew, _ := build(t, newBuilder(t), spec)
			fresh[epoch] = anew.Digest
		}
		if got.Digest != fresh[epoch] {
			t.Errorf("build %d: digest %s, want that of a new builder, %s", i, got.Digest, fresh[epoch])
		}
		times := modified(t, b, got.Digest)
		if most := slices.Max(times); most > epoch || i == 1 && most != epoch {
			t.Errorf("build %d: the youngest file is from %d, the epoch is %d", i, most, epoch)
		}
	}
}

// modified returns when each entry of an image's layers was modified, in seconds.
func modified(t *testing.T, b *solve.Builder, digest string) []int64 {
	t.Helper()
	var manifest ocispecs.Manifest
	if err := json.Unmarshal([]byte(read(t, b, digest)), &manifest); err != nil {
		t.Fatal(err)
	}
	var times []int64
	for _, layer := range manifest.Layers {
		unpacked, err := gzip.NewReader(strings.NewReader(read(t, b, layer.Digest.String())))
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(unpacked); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			times = append(times, h.ModTime.Unix())
		}
	}
	return times
}

package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

func TestArtifact(t *testing.T) {
	const kind = "application/vnd.example.thing.v1+json"
	both(t, func(t *testing.T, w *world) {
		c := newClient(&memory{})
		repo := w.host + "/team/things"
		for _, data := range []string{`{"a":1}`, `{"a":2}`} {
			img, err := c.PushArtifact(t.Context(), repo, []string{"v1"}, kind, []byte(data), map[string]string{"k": "v"})
			fatal(t, err)
			for _, ref := range []string{repo + ":v1", repo + "@" + img.Digest} {
				got, err := newClient(&memory{}).Artifact(t.Context(), ref, kind)
				if err != nil || string(got) != data {
					t.Errorf("%s: got %q, %v, want %q", ref, got, err, data)
				}
			}
		}
		if _, err := c.Artifact(t.Context(), repo+":none", kind); !errors.Is(err, buildkit.ErrNotFound) {
			t.Errorf("of a tag that is not there: %v", err)
		}
		if _, err := c.Artifact(t.Context(), repo+":v1", "application/vnd.example.other"); err == nil || !strings.Contains(err.Error(), "want application/vnd.example.other") {
			t.Errorf("of another type: %v", err)
		}
		store := &memory{}
		_, err := newClient(store).Push(t.Context(), store.image(t, randomImage(t, 1)), repo, []string{"image"}, nil)
		fatal(t, err)
		if _, err := c.Artifact(t.Context(), repo+":image", kind); err == nil {
			t.Error("an image is taken for an artifact")
		}
	})
}

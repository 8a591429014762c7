package solve

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-ci/slipway/buildkit"
)

// Statements returns what was said about an image, by whichever builders built
// it. See [Builder.Statements].
func (f *Fleet) Statements(image string) []buildkit.Statement {
	f.init()
	var all []buildkit.Statement
	for _, m := range f.Members {
		all = append(all, m.Statements(image)...)
	}
	var index ocispecs.Index
	if raw := f.index(digest.Digest(image)); raw == nil || json.Unmarshal(raw, &index) != nil {
		return all
	}
	for _, d := range index.Manifests { // each platform was an image of its own
		for _, m := range f.Members {
			for _, s := range m.Statements(d.Digest.String()) {
				if d.Platform != nil {
					s.Platform = formatPlatform(*d.Platform)
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// Origins returns the repositories from which builders pulled a blob.
func (f *Fleet) Origins(ctx context.Context, blob string) []string {
	var all []string
	for _, m := range f.Members {
		if m.lost() == nil {
			all = append(all, m.Origins(ctx, blob)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Files writes the file system of an image as a tar. See [Builder.Files].
func (f *Fleet) Files(ctx context.Context, img buildkit.Image, w io.Writer, watch func(buildkit.Progress)) error {
	f.init()
	members := f.rank(img.Digest)
	if p := f.product(img.Digest); p != nil {
		members = first(members, p.at)
	}
	_, err := f.try(ctx, members, oneAtATime(watch), func(m *Member) error { return m.Files(ctx, img, w, watch) })
	return err
}

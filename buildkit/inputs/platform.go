package inputs

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/containerd/platforms"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// platformSet is where an image shall run and where it is built.
type platformSet struct {
	builder ocispecs.Platform
	targets []ocispecs.Platform
	wanted  []string // targets as text
}

// platforms spells out the platforms of a spec; none means the builder's own.
// Their order is kept: it is the order of the image's index.
func (r *Reader) platforms(wanted []string) (platformSet, error) {
	// Not platforms.DefaultString: on macOS and Windows the builder is still Linux.
	native := ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH, Variant: platforms.DefaultSpec().Variant}
	builder, err := parsePlatform(cmp.Or(r.Platform, platforms.FormatAll(native)))
	if err != nil {
		return platformSet{}, err
	}
	set := platformSet{builder: builder}
	for _, text := range wanted {
		p, err := parsePlatform(text)
		if err != nil {
			return platformSet{}, err
		}
		set.add(p)
	}
	if len(set.targets) == 0 {
		set.add(builder)
	}
	return set, nil
}

func (s *platformSet) add(p ocispecs.Platform) {
	s.targets = append(s.targets, p)
	s.wanted = append(s.wanted, platforms.FormatAll(p))
}

func parsePlatform(text string) (ocispecs.Platform, error) {
	p, err := platforms.Parse(text)
	if err != nil {
		return ocispecs.Platform{}, fmt.Errorf("platform %q is not like linux/amd64: %w", text, err)
	}
	return platforms.Normalize(p), nil
}

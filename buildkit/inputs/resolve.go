package inputs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/distribution/reference"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
)

// resolve returns the digest of each image, by its name. All images that cannot
// be found are reported, in the order of their lines.
func (r *Reader) resolve(ctx context.Context, d *dockerfile, images map[string]int, known map[string]string) (map[string]string, error) {
	refs := slices.SortedFunc(maps.Keys(images), func(a, b string) int {
		return cmp.Or(cmp.Compare(images[a], images[b]), cmp.Compare(a, b))
	})
	digests := make([]string, len(refs))
	errs := make([]error, len(refs))
	var lookups errgroup.Group
	lookups.SetLimit(8)
	for i, ref := range refs {
		if digests[i] = cmp.Or(known[ref], pinned(ref)); digests[i] != "" {
			continue
		}
		lookups.Go(func() error {
			var err error
			if digests[i], err = r.lookup(ctx, ref); err != nil {
				errs[i] = d.fault(images[ref], fmt.Errorf("base image %s: %w", ref, err))
			}
			return nil
		})
	}
	_ = lookups.Wait() // the errors are in errs
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	bases := make(map[string]string, len(refs))
	for i, ref := range refs {
		bases[ref] = digests[i]
	}
	return bases, one(errs)
}

func (r *Reader) lookup(ctx context.Context, ref string) (string, error) {
	if r.Resolve == nil {
		return "", ErrNoResolver
	}
	return r.bases.once(ctx, ref, func() (string, error) {
		digest, err := r.Resolve(ctx, ref)
		if err == nil && digest == "" {
			err = errors.New("it was found without a digest")
		}
		return digest, err
	})
}

// lookups are what a Reader has found out about images. One name stands for one
// digest for as long as the Reader lives, whatever many builds name it.
type lookups struct {
	flight singleflight.Group
	known  sync.Map // digest by reference
}

// once returns what find returned when it last succeeded. Whoever waits for
// another's find, which was canceled, finds it alone.
func (l *lookups) once(ctx context.Context, ref string, find func() (string, error)) (string, error) {
	for {
		digest, err, shared := l.flight.Do(ref, func() (any, error) {
			if known, ok := l.known.Load(ref); ok {
				return known, nil
			}
			digest, err := find()
			if err == nil {
				l.known.Store(ref, digest)
			}
			return digest, err
		})
		if shared && errors.Is(err, context.Canceled) && ctx.Err() == nil {
			continue
		}
		return digest.(string), err
	}
}

// pinned returns the digest within a reference, or nothing.
func pinned(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	if d, ok := named.(reference.Digested); ok {
		return d.Digest().String()
	}
	return ""
}

// full returns a reference with its registry and tag, and without its digest.
func full(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	name := reference.TrimNamed(named)
	if t, ok := named.(reference.Tagged); ok {
		if tagged, err := reference.WithTag(name, t.Tag()); err == nil {
			return tagged.String()
		}
	}
	if _, ok := named.(reference.Digested); ok {
		return name.String()
	}
	return reference.TagNameOnly(name).String()
}

// one returns the errors there are, and the error itself if it is the only one.
func one(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

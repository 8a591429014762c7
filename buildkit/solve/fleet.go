package solve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// A Fleet is several builders that are used as one. A context is built on the
// same builder at each run, where its cache is; a builder that goes away loses
// nothing: what it was building is built on another, and so is what it had built
// and nobody else holds. Its methods may be called at the same time.
type Fleet struct {
	Members []*Member // not empty; not changed after the first call

	once   sync.Once
	mu     sync.Mutex
	made   map[string]*product // by digest: what was built in this run
	joined map[string][]byte   // indexes of images on several builders, by digest
	again  chan struct{}       // held by who builds again what was lost
}

// A Member is one builder of a Fleet.
type Member struct {
	Name     string // for people: its address
	Platform string // what it is for, such as "linux/arm64"; empty: what it says itself
	*Builder

	mu      sync.Mutex
	gone    error  // why it is not asked any more; nil while it is there
	mourned bool   // that it is gone has been said
	told    string // the platform that it said is its own
}

// A product is an image that was built in this run.
type product struct {
	spec buildkit.Spec
	at   *Member
}

// aliveTime is how long a builder may take to say that it is there.
const aliveTime = 5 * time.Second

func (f *Fleet) init() {
	f.once.Do(func() {
		f.made, f.joined, f.again = map[string]*product{}, map[string][]byte{}, make(chan struct{}, 1)
		for _, m := range f.Members {
			m.others = &fleetStore{fleet: f}
		}
	})
}

// Build builds on the builder that the context has always been built on, or on
// the next if that is gone. Platforms that different builders are for are built
// there, and joined into one index. See [Builder.Build].
func (f *Fleet) Build(ctx context.Context, spec buildkit.Spec, watch func(buildkit.Progress)) (buildkit.Image, error) {
	f.init()
	watch = oneAtATime(watch)
	if parts := f.parts(ctx, spec); len(parts) > 1 {
		return f.buildParts(ctx, spec, parts, watch)
	}
	return f.buildOne(ctx, spec, watch)
}

func (f *Fleet) buildOne(ctx context.Context, spec buildkit.Spec, watch func(buildkit.Progress)) (buildkit.Image, error) {
	var img buildkit.Image
	at, err := f.try(ctx, f.order(ctx, spec), watch, func(m *Member) (err error) {
		img, err = m.Build(ctx, spec, watch)
		return err
	})
	if err != nil {
		return img, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made[img.Digest] = &product{spec: spec, at: at}
	return img, nil
}

// Exec runs a command on the builder that holds its image, or on another if that
// is gone. See [Builder.Exec].
func (f *Fleet) Exec(ctx context.Context, cmd buildkit.Command, watch func(buildkit.Progress)) error {
	f.init()
	watch = oneAtATime(watch)
	members := f.rank(cmd.Image.Digest)
	if p := f.product(cmd.Image.Digest); p != nil {
		members = first(members, p.at)
	}
	_, err := f.try(ctx, members, watch, func(m *Member) error { return m.Exec(ctx, cmd, watch) })
	return err
}

// Close ends all connections.
func (f *Fleet) Close() error {
	var errs []error
	for _, m := range f.Members {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// try does work on the first of the members that does not go away meanwhile, and
// returns which it was. An error of the work itself is final, unless a builder
// went away meanwhile from which it took something.
func (f *Fleet) try(ctx context.Context, members []*Member, watch func(buildkit.Progress), work func(*Member) error) (*Member, error) {
	var last error
	for i := 0; i < len(members); i++ {
		m, there := members[i], f.there()
		if gone := m.lost(); gone != nil {
			f.mourn(m, watch)
			last = gone
			continue
		}
		err := work(m)
		if err == nil || ctx.Err() != nil {
			return m, err
		}
		if m.alive(ctx) {
			if f.there() == there {
				return m, err
			}
			i-- // once more
			continue
		}
		m.lose(err)
		f.mourn(m, watch)
		last = err
	}
	if len(f.Members) > 1 {
		last = fmt.Errorf("none of %d builders is left: %w", len(f.Members), inFleet(last))
	}
	return nil, &buildkit.HostError{What: "its builders don't answer", Cure: "see that they run", Err: last}
}

// mourn says once that a builder went away, whoever noticed: that may have been one
// who only read from it, and has nobody to tell.
func (f *Fleet) mourn(m *Member, watch func(buildkit.Progress)) {
	m.mu.Lock()
	told, why := m.mourned, m.gone
	m.mourned = true
	m.mu.Unlock()
	if !told {
		watch(buildkit.Progress{Warning: &buildkit.Warning{Text: fmt.Sprintf("builder %s went away (%d of %d are left): %v", m.Name, f.there(), len(f.Members), inFleet(why))}})
	}
}

// there returns how many builders have not gone away.
func (f *Fleet) there() (n int) {
	for _, m := range f.Members {
		if m.lost() == nil {
			n++
		}
	}
	return n
}

func (m *Member) lost() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

func (m *Member) lose(err error) {
	m.mu.Lock()
	m.gone = err
	m.mu.Unlock()
	_ = m.Close() // gRPC would go on trying to connect
}

// alive reports whether the builder answers. What failed on one that does is no
// fault of its being away.
func (m *Member) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	_, err := m.Platforms(ctx)
	return err == nil
}

// Platforms asks the builder what it builds for; its own platform comes first.
func (m *Member) Platforms(ctx context.Context) ([]string, error) {
	c, err := m.client(ctx)
	if err != nil {
		return nil, err
	}
	workers, err := c.ListWorkers(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, w := range workers {
		for _, p := range w.Platforms {
			if name := p.OS + "/" + p.Architecture; !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all, nil
}

// order returns the builders in the order in which a spec prefers them: first
// where the image lies that it is built upon, then by its context.
func (f *Fleet) order(_ context.Context, spec buildkit.Spec) []*Member {
	// The path above differs between machines.
	members := f.rank(filepath.Base(spec.Context) + "\x00" + spec.DockerfileName())
	for _, c := range spec.Contexts {
		if p := f.product(c.Image.Digest); p != nil && c.Image.Repository == "" {
			members = first(members, p.at)
		}
	}
	if len(spec.Platforms) == 1 {
		for _, m := range slices.Backward(members) {
			if m.Platform != "" && samePlatform(m.Platform, spec.Platforms[0]) {
				members = first(members, m)
			}
		}
	}
	return members
}

// rank orders the builders by rendezvous hashing: each key has its own order,
// which stays when other builders come or go.
//
// See https://www.eecs.umich.edu/techreports/cse/96/CSE-TR-316-96.pdf.
func (f *Fleet) rank(key string) []*Member {
	weight := func(m *Member) string {
		sum := sha256.Sum256([]byte(m.Name + "\x00" + key))
		return string(sum[:])
	}
	return slices.SortedFunc(slices.Values(f.Members), func(a, b *Member) int {
		return cmp.Compare(weight(b), weight(a))
	})
}

// first moves one to the front.
func first(members []*Member, m *Member) []*Member {
	rest := slices.DeleteFunc(slices.Clone(members), func(o *Member) bool { return o == m })
	return append([]*Member{m}, rest...)
}

func (f *Fleet) product(digest string) *product {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made[digest]
}

// oneAtATime lets one call in at a time: parts of a build report at once.
func oneAtATime(watch func(buildkit.Progress)) func(buildkit.Progress) {
	var mu sync.Mutex
	return func(p buildkit.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if watch != nil {
			watch(p)
		}
	}
}

// samePlatform compares without the variant, which most don't write.
func samePlatform(a, b string) bool {
	short := func(p string) string {
		return strings.Join(strings.SplitN(p, "/", 3)[:min(2, strings.Count(p, "/")+1)], "/")
	}
	return short(a) == short(b)
}

package rollout

import (
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// patience is how long a watch may fail without a success in between. A server
// that restarts or a load balancer that changes its mind needs less.
const patience = 30 * time.Second

// A store is what all watches hold. It says on changed that something did.
type store struct {
	changed chan struct{} // of capacity 1

	mu      sync.Mutex
	shelves []*shelf
}

// A shelf is the part of a store that one watch fills.
type shelf struct {
	store *store
	feed  feed

	items  map[string]metav1.Object
	synced bool
	doing  string // what failed, such as "list pods in shop"
	err    error
	since  time.Time // when it began to fail
}

func newStore(feeds []feed) *store {
	s := &store{changed: make(chan struct{}, 1)}
	for _, f := range feeds {
		s.shelves = append(s.shelves, &shelf{store: s, feed: f, items: map[string]metav1.Object{}})
	}
	return s
}

// update runs f under the lock and wakes whoever waits for changes.
func (s *store) update(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// snapshot returns what all shelves hold, or nil while one of them has not been
// filled yet. err is why it will not be.
func (s *store) snapshot(now time.Time) (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	filled := true
	var objs []metav1.Object
	for _, sh := range s.shelves {
		final := apierrors.IsForbidden(sh.err) || sh.err != nil && now.Sub(sh.since) >= patience
		if final && !sh.feed.optional {
			return nil, sh.failure()
		}
		filled = filled && (sh.synced || final)
		for _, o := range sh.items {
			objs = append(objs, o)
		}
	}
	if !filled {
		return nil, nil
	}
	return newSnapshot(objs), nil
}

// unfilled returns why the store is not filled although time is up.
func (s *store) unfilled() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shelves {
		if sh.err != nil && !sh.synced {
			return sh.failure()
		}
	}
	for _, sh := range s.shelves {
		if !sh.synced {
			return &deploy.ClusterError{Doing: "list " + sh.feed.what, Err: errors.New("no answer before time was up")}
		}
	}
	return nil
}

// next returns when a failing watch is to be given up; zero means none fails.
func (s *store) next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	for _, sh := range s.shelves {
		if sh.err != nil {
			next = sooner(next, sh.since.Add(patience))
		}
	}
	return next
}

// sooner returns the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (sh *shelf) failure() error {
	err := sh.err
	var known *deploy.ClusterError
	if errors.As(err, &known) {
		return known
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) && apierrors.IsForbidden(err) {
		err = &forbidden{status.Status().Message, err}
	}
	return &deploy.ClusterError{Doing: sh.doing, Err: err}
}

// forbidden adds the cure to the API server's words.
type forbidden struct {
	words string
	err   error
}

func (f *forbidden) Error() string { return f.words + " (grant it in a Role)" }
func (f *forbidden) Unwrap() error { return f.err }

// report notes how a request ended, and since when it fails if it does; a success
// forgets all failures before it.
func (sh *shelf) report(verb string, since time.Time, err error) {
	sh.store.update(func() {
		if err != nil && sh.err == nil {
			sh.since = since
		}
		sh.doing, sh.err = verb+" "+sh.feed.what, err
	})
}

// put puts an object on the shelf, in the place of what it was before.
func (sh *shelf) put(o metav1.Object) {
	sh.store.update(func() { sh.items[address(o)] = o })
}

// remove takes an object from the shelf.
func (sh *shelf) remove(o metav1.Object) {
	sh.store.update(func() { delete(sh.items, address(o)) })
}

// replace puts items on the shelf and takes all else from it.
func (sh *shelf) replace(items map[string]metav1.Object) {
	sh.store.update(func() { sh.items, sh.synced = items, true })
}

func address(o metav1.Object) string { return o.GetNamespace() + "/" + o.GetName() }

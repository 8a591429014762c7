//go:build linux

package embed

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/source"
	localsource "github.com/moby/buildkit/source/local"
	"github.com/tonistiigi/fsutil"

	"github.com/slipway-ci/slipway/buildkit/transfer"
)

// folders is BuildKit's source of local files, which receives them in our own way from
// sessions that have it.
type folders struct {
	source.Source
	refs cache.Accessor
	boot string // of the machine
}

func newFolders(refs cache.Accessor) (*folders, error) {
	boot, err := os.ReadFile(bootID)
	if err != nil {
		boot = nil // nobody says which it is
	}
	theirs, err := localsource.NewSource(localsource.Opt{CacheAccessor: refs})
	return &folders{theirs, refs, string(boot)}, err
}

// Resolve returns the folder that an identifier stands for.
func (f *folders) Resolve(ctx context.Context, id source.Identifier, sessions *session.Manager, v solver.Vertex) (source.SourceInstance, error) {
	is, ok := id.(*localsource.LocalIdentifier)
	if ok && is.MetadataOnly {
		is.Differ = fsutil.DiffNone // times of ours do not tell what changed
	}
	theirs, err := f.Source.Resolve(ctx, id, sessions, v)
	if err != nil || !ok || is.MetadataOnly {
		return theirs, err
	}
	return &wanted{theirs, is, f, sessions}, nil
}

// A wanted folder is one that a build asks for.
type wanted struct {
	source.SourceInstance
	id       *localsource.LocalIdentifier
	from     *folders
	sessions *session.Manager
}

// Snapshot returns the files: those of the session that is named, if it is there, or of
// any that the build has.
func (w *wanted) Snapshot(ctx context.Context, job solver.JobContext) (ref cache.ImmutableRef, err error) {
	if w.id.SessionID != "" {
		if from := w.session(ctx); from != nil {
			return w.receive(ctx, job, from)
		}
	}
	err = w.sessions.Any(ctx, job.Session(), func(ctx context.Context, _ string, from session.Caller) error {
		ref, err = w.receive(ctx, job, from)
		return err
	})
	return ref, err
}

// session waits a moment for the session that is named; it returns nil if there is none.
func (w *wanted) session(ctx context.Context) session.Caller {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errors.New("the session is not there"))
	defer cancel()
	from, err := w.sessions.Get(ctx, w.id.SessionID, false)
	if err != nil {
		return nil
	}
	return from
}

func (w *wanted) receive(ctx context.Context, job solver.JobContext, from session.Caller) (cache.ImmutableRef, error) {
	if !from.Supports(transfer.Method) {
		return w.SourceInstance.Snapshot(ctx, job)
	}
	// Another boot may have left files that never came to the disk.
	key := strings.Join([]string{w.id.Name, w.id.SharedKeyHint, from.SharedKey(), w.from.boot}, ":")
	r, err := openReceived(ctx, w.from.refs, w.id.Name, key)
	if err != nil {
		return nil, err
	}
	err = r.receive(ctx, from, transfer.Request{Name: w.id.Name, Include: w.id.IncludePatterns, Exclude: w.id.ExcludePatterns, Follow: w.id.FollowPaths})
	if err != nil {
		return nil, errors.Join(err, r.giveUp(ctx))
	}
	ref, err := r.Commit(ctx)
	if err != nil {
		return nil, errors.Join(err, r.giveUp(ctx))
	}
	return ref, nil
}

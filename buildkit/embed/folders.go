//go:build linux

package embed

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"time"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/contenthash"
	bkclient "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/snapshot"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/source"
	localsource "github.com/moby/buildkit/source/local"
	"github.com/moby/buildkit/util/progress"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/time/rate"

	"github.com/slipway-ci/slipway/buildkit/transfer"
)

// folders is BuildKit's source of local files, which receives them in our own way from
// sessions that have it.
type folders struct {
	source.Source
	refs cache.Accessor
}

func newFolders(refs cache.Accessor) (*folders, error) {
	theirs, err := localsource.NewSource(localsource.Opt{CacheAccessor: refs})
	return &folders{theirs, refs}, err
}

// Resolve returns the folder that an identifier stands for.
func (f *folders) Resolve(ctx context.Context, id source.Identifier, sessions *session.Manager, v solver.Vertex) (source.SourceInstance, error) {
	theirs, err := f.Source.Resolve(ctx, id, sessions, v)
	if err != nil {
		return nil, err
	}
	is, ok := id.(*localsource.LocalIdentifier)
	if !ok || is.MetadataOnly {
		return theirs, nil
	}
	return &wanted{theirs, is, f.refs, sessions}, nil
}

// A wanted folder is one that a build asks for.
type wanted struct {
	source.SourceInstance
	id       *localsource.LocalIdentifier
	refs     cache.Accessor
	sessions *session.Manager
}

// Snapshot returns the files.
func (f *wanted) Snapshot(ctx context.Context, job solver.JobContext) (cache.ImmutableRef, error) {
	from, err := f.session(ctx, job)
	if err != nil || !from.Supports(transfer.Method) {
		return f.SourceInstance.Snapshot(ctx, job)
	}
	r, err := openReceived(ctx, f.refs, f.id.Name, f.id.Name+":"+f.id.SharedKeyHint+":"+from.SharedKey())
	if err != nil {
		return nil, err
	}
	if err := r.receive(ctx, from, transfer.Request{Name: f.id.Name, Include: f.id.IncludePatterns, Exclude: f.id.ExcludePatterns, Follow: f.id.FollowPaths}); err != nil {
		return nil, errors.Join(err, r.drop(ctx))
	}
	return r.Commit(ctx)
}

// session returns who has the files. It may take a moment until a session is there.
func (f *wanted) session(ctx context.Context, job solver.JobContext) (session.Caller, error) {
	id := f.id.SessionID
	if id == "" {
		id = job.Session().SessionIterator().NextSession()
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return f.sessions.Get(ctx, id, false)
}

// received is files that were received, or are about to be. As long as they are changed,
// nobody finds them under their key: what a death leaves is not used again.
type received struct {
	cache.MutableRef
	name, key string
	list      []transfer.Entry // what they are
}

const (
	receivedKey  = "slipway.received"      // of a record: the key of the files
	receivedList = "slipway.received.list" // of a record: what they are
)

// openReceived returns what was received under a key and is not in use, or a new folder.
func openReceived(ctx context.Context, refs cache.Accessor, name, key string) (*received, error) {
	found, err := refs.Search(ctx, receivedKey+":"+key, false)
	if err != nil {
		return nil, err
	}
	for _, record := range found {
		ref, err := refs.GetMutable(ctx, record.ID())
		if err != nil {
			continue // somebody else has it
		}
		r := &received{MutableRef: ref, name: name, key: key}
		if r.list, err = r.load(); err == nil {
			return r, nil
		}
		if err := r.drop(ctx); err != nil {
			return nil, err
		}
	}
	ref, err := refs.New(ctx, nil, nil, cache.CachePolicyRetain,
		cache.WithRecordType(bkclient.UsageRecordTypeLocalSource), cache.WithDescription("local source for "+name))
	if err != nil {
		return nil, err
	}
	return &received{MutableRef: ref, name: name, key: key}, nil
}

// receive makes the files be those that the session has.
func (r *received) receive(ctx context.Context, from session.Caller, req transfer.Request) error {
	mount, err := r.Mount(ctx, false, nil)
	if err != nil {
		return err
	}
	mounter := snapshot.LocalMounter(mount)
	dir, err := mounter.Mount()
	if err != nil {
		return err
	}
	hashes, err := contenthash.GetCacheContext(ctx, r)
	if err != nil {
		return errors.Join(err, mounter.Unmount())
	}
	changed := false
	moved, end := r.watch(ctx)
	list, err := transfer.Receive(ctx, from, req, transfer.Into{
		Dir:     dir,
		Holds:   r.list,
		Updater: updater{hashes},
		Moved:   moved,
		Begin: func() error {
			changed = true
			return r.ClearValueAndIndex(receivedKey, receivedKey+":"+r.key)
		},
	})
	_ = end() // nobody may be listening
	if err := errors.Join(err, mounter.Unmount()); err != nil || !changed {
		return err
	}
	if err := contenthash.SetCacheContext(ctx, r, hashes); err != nil {
		return err
	}
	r.list = list
	return r.keep()
}

// load reads what the files are.
func (r *received) load() (list []transfer.Entry, err error) {
	text, err := r.GetExternal(receivedList)
	if err != nil {
		return nil, err
	}
	return list, gob.NewDecoder(bytes.NewReader(text)).Decode(&list)
}

// keep makes the files be found again.
func (r *received) keep() error {
	var text bytes.Buffer
	if err := gob.NewEncoder(&text).Encode(r.list); err != nil {
		return err
	}
	if err := r.SetExternal(receivedList, text.Bytes()); err != nil {
		return err
	}
	return r.SetString(receivedKey, r.key, receivedKey+":"+r.key)
}

// drop gives the files up.
func (r *received) drop(ctx context.Context) error {
	contenthash.ClearCacheContext(r)
	return errors.Join(r.SetCachePolicyDefault(), r.Release(context.WithoutCancel(ctx)))
}

// watch reports how much has come, ten times a second.
func (r *received) watch(ctx context.Context) (moved func(bytes, of int64), end func() error) {
	say, _, _ := progress.NewFromContext(ctx)
	began := time.Now()
	often := rate.NewLimiter(rate.Every(100*time.Millisecond), 1)
	return func(bytes, of int64) {
		now := progress.Status{Action: "transferring", Current: int(bytes), Total: int(of), Started: &began}
		if bytes == of {
			end := time.Now()
			now.Completed = &end
		} else if !often.Allow() {
			return
		}
		_ = say.Write("transferring "+r.name+":", now) // nobody may be listening
	}, say.Close
}

// updater lets the cache of digests know what changes.
type updater struct{ contenthash.CacheContext }

func (updater) MarkSupported(bool) {}

func (updater) ContentHasher() fsutil.ContentHasher { return contenthash.NewFromStat }

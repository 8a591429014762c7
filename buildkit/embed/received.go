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
	"github.com/moby/buildkit/util/progress"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/time/rate"

	"github.com/slipway-ci/slipway/buildkit/transfer"
)

// received is files that were received, or are about to be. As long as they are changed,
// nobody finds them under their key: what a death leaves is not used again.
type received struct {
	cache.MutableRef
	name, key string
	list      []transfer.Entry // what they are
	changed   bool             // since they were found under their key
}

const (
	receivedKey   = "slipway.received"      // of a record: the key of the files
	receivedIndex = receivedKey + ":"       // before a key, where records are found by it
	receivedList  = "slipway.received.list" // of a record: what the files are
)

// openReceived returns what was received under a key and is not in use, or a new folder.
func openReceived(ctx context.Context, refs cache.Accessor, name, key string) (*received, error) {
	found, err := refs.Search(ctx, receivedIndex+key, false)
	if err != nil {
		return nil, err
	}
	for _, record := range found {
		ref, err := refs.GetMutable(ctx, record.ID())
		if err != nil {
			continue // somebody else has it
		}
		r := &received{MutableRef: ref, name: name, key: key}
		if err := r.load(); err == nil {
			return r, nil
		}
		r.changed = true
		if err := r.giveUp(ctx); err != nil {
			return nil, err
		}
	}
	ref, err := refs.New(ctx, nil, nil, cache.CachePolicyRetain,
		cache.WithRecordType(bkclient.UsageRecordTypeLocalSource), cache.WithDescription("local source for "+name))
	if err != nil {
		return nil, err
	}
	return &received{MutableRef: ref, name: name, key: key, changed: true}, nil
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
	moved, end := r.watch(ctx)
	list, err := transfer.Receive(ctx, from, req, transfer.Into{
		Dir:     dir,
		Holds:   r.list,
		Updater: updater{hashes},
		Moved:   moved,
		Begin: func() error {
			r.changed = true
			return r.ClearValueAndIndex(receivedKey, receivedIndex)
		},
	})
	end()
	if err := errors.Join(err, mounter.Unmount()); err != nil || !r.changed {
		return err
	}
	if err := contenthash.SetCacheContext(ctx, r, hashes); err != nil {
		return err
	}
	r.list = list
	return r.keep()
}

// load reads what the files are.
func (r *received) load() error {
	text, err := r.GetExternal(receivedList)
	if err != nil {
		return err
	}
	return gob.NewDecoder(bytes.NewReader(text)).Decode(&r.list)
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
	if err := r.SetString(receivedKey, r.key, receivedIndex+r.key); err != nil {
		return err
	}
	r.changed = false
	return nil
}

// giveUp lets go of the files. Those that were changed are removed.
func (r *received) giveUp(ctx context.Context) error {
	var err error
	if r.changed {
		contenthash.ClearCacheContext(r)
		err = r.SetCachePolicyDefault()
	}
	return errors.Join(err, r.Release(context.WithoutCancel(ctx)))
}

// watch reports how much has come, ten times a second, until end is called.
func (r *received) watch(ctx context.Context) (moved func(bytes, of int64), end func()) {
	out, _, _ := progress.NewFromContext(ctx)
	began := time.Now()
	now := progress.Status{Action: "transferring", Started: &began}
	say := func() { _ = out.Write("transferring "+r.name+":", now) } // nobody may be listening
	say()
	often := rate.NewLimiter(rate.Every(100*time.Millisecond), 1)
	moved = func(bytes, of int64) {
		if now.Current, now.Total = int(bytes), int(of); often.Allow() {
			say()
		}
	}
	return moved, func() {
		ended := time.Now()
		now.Completed = &ended
		say()
		_ = out.Close()
	}
}

// updater lets the cache of digests know what changes.
type updater struct{ contenthash.CacheContext }

func (updater) MarkSupported(bool) {}

func (updater) ContentHasher() fsutil.ContentHasher { return contenthash.NewFromStat }

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func downCommand(ctx context.Context, args []string, _, stderr io.Writer) error {
	fs := flag.NewFlagSet("down", flag.ContinueOnError)
	purge := fs.Bool("purge", false, "remove the folder, too: logs and kubeconfig")
	leash := fs.Bool("when-stdin-ends", false, "wait for that first: a test holds the other end of a pipe, so the cluster goes however the test ends")
	l, err := dirFlag(fs, args, stderr)
	if err != nil {
		return err
	}
	if *leash {
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
	}
	if _, err := os.Stat(l.dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := waitForLock(ctx, l)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := down(ctx, l); err != nil {
		return err
	}
	if *purge {
		return os.RemoveAll(l.dir)
	}
	return nil
}

// down stops a cluster and removes its state. It asks the machine what there is rather than what
// up has noted, so it works after any crash, and has nothing to do when called again.
func down(ctx context.Context, l layout) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 30*time.Second, errors.New("30 s have passed"))
	defer cancel()
	owner, err := bridgeOwner()
	if err != nil {
		return err
	}
	ours := owner == l.dir // the bridge is made first and removed last
	if ours {
		if err := thawPods(); err != nil {
			return err
		}
	}
	if err := killAll(ctx, l); err != nil {
		return err
	}
	if ours {
		if err := removePodCgroups(ctx); err != nil {
			return err
		}
	}
	if err := removeMountPoints(l); err != nil {
		return err
	}
	if err := os.RemoveAll(l.run()); err != nil {
		return fmt.Errorf("remove the state: %w", err)
	}
	if ours {
		return removeBridge(ctx)
	}
	return nil
}

// waitForLock waits for an up that is on its way: what it starts must go, too.
func waitForLock(ctx context.Context, l layout) (lock io.Closer, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("3 minutes have passed"))
	defer cancel()
	err = poll(ctx, 100*time.Millisecond, "another up or down", func(context.Context) (bool, error) {
		lock, err = l.lock()
		if errors.Is(err, errBusy) {
			return false, nil
		}
		return true, err
	})
	return lock, err
}

//go:build linux

package embed

import (
	"context"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/executor/oci"
	"github.com/moby/buildkit/executor/resources"
	"github.com/moby/buildkit/executor/runcexecutor"
	bkcontent "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/archutil"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/util/network"
	"github.com/moby/buildkit/util/winlayers"
	"github.com/moby/buildkit/worker/base"
	wlabel "github.com/moby/buildkit/worker/label"

	"github.com/slipway-ci/slipway/buildkit/transfer"
)

// newWorker makes the part that stores layers and runs commands, and what counts these.
func newWorker(ctx context.Context, cfg config, s *store) (*base.Worker, *runs, error) {
	// Commands share our network: that needs no CNI, and no privilege.
	// (netproviders would also make a certificate for a proxy that we don't have, and
	// searching for its primes takes longer than all else that is done here.)
	host := network.NewHostProvider()
	networks := map[pb.NetMode]network.Provider{pb.NetMode_UNSET: host, pb.NetMode_HOST: host, pb.NetMode_NONE: network.NewNoneProvider()}
	monitor, err := resources.NewMonitor()
	if err != nil {
		return nil, nil, err
	}
	running := newRuns(func() (executor.Executor, error) { return newExecutor(cfg, s.dir, networks, monitor) })
	id, err := base.ID(s.dir)
	if err != nil {
		return nil, nil, err
	}
	refs, err := openRefs(filepath.Join(s.dir, "metadata_v2.db"), s.unsynced)
	if err != nil {
		return nil, nil, err
	}
	blobs := bkcontent.NewContentStore(clean{s.records.ContentStore()}, namespace)
	held := metadata.NewLeaseManager(s.records)
	snaps := &weigher{s.records.Snapshotter(s.name), s.records.ContentStore(), held}
	work, err := base.NewWorker(ctx, base.WorkerOpt{
		ID:               id,
		Root:             s.dir,
		Labels:           map[string]string{wlabel.Executor: "oci", wlabel.Snapshotter: s.name, wlabel.Network: "host", transfer.Label: "1"},
		Platforms:        archutil.SupportedPlatforms(true),
		MetadataStore:    refs,
		NetworkProviders: networks,
		Executor:         running,
		Snapshotter:      bkcontent.NewSnapshotter(s.name, snaps, namespace, nil),
		ContentStore:     blobs,
		Applier:          winlayers.NewFileSystemApplierWithWindows(blobs, apply.NewFileSystemApplier(blobs)),
		Differ:           winlayers.NewWalkingDiffWithWindows(blobs, walking.NewWalkingDiff(blobs)),
		RegistryHosts:    registries(cfg),
		LeaseManager:     leaseutil.WithNamespace(held, namespace),
		GarbageCollect:   s.records.GarbageCollect,
		MountPoolRoot:    filepath.Join(s.dir, "cachemounts"),
		ResourceMonitor:  monitor,
	})
	if err != nil {
		return nil, nil, err
	}
	folders, err := newFolders(work.CacheMgr)
	if err != nil {
		return nil, nil, err
	}
	work.SourceManager.Register(folders)
	return work, running, nil
}

// newExecutor makes what runs commands, for a worker in dir.
func newExecutor(cfg config, dir string, networks map[pb.NetMode]network.Provider, monitor *resources.Monitor) (executor.Executor, error) {
	runc, err := cfg.runc()
	if err == nil && cfg.SingleID {
		runc, err = installShim(cfg.Root, runc)
	}
	if err != nil {
		return nil, err
	}
	sandbox := oci.ProcessSandbox
	if cfg.NoSandbox {
		sandbox = oci.NoProcessSandbox
	}
	unmaskRunc()
	return runcexecutor.New(runcexecutor.Opt{
		Root:              filepath.Join(dir, "executor"),
		CommandCandidates: []string{runc},
		Rootless:          cfg.Rootless,
		ProcessMode:       sandbox,
		ResourceMonitor:   monitor,
	}, networks)
}

//go:build linux

// Command solve is BuildKit in one process, its solver and its client, which build a
// folder and push the image, and nothing else: no key is made, nothing is remembered of
// files, no pipeline is read and no run recorded. Its peak of memory is the floor of P5.
//
// It takes a folder for its state, the context, and the name of the image. With -show it
// prints what the steps print, as it comes, and pushes nothing: its CPU time is the floor
// of P13. Runc is the one in PATH, and -n is the build argument N.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/moby/buildkit/client"
	bkconfig "github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/executor/oci"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto" // the codec of buildkitd
	"github.com/moby/buildkit/util/network/netproviders"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	"github.com/moby/buildkit/worker/runc"
	"github.com/tonistiigi/fsutil"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

func main() {
	show := flag.Bool("show", false, "print what the steps print, and push nothing")
	n := flag.String("n", "", "build argument N")
	flag.Parse()
	if err := build(context.Background(), flag.Arg(0), flag.Arg(1), flag.Arg(2), *n, *show); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build(ctx context.Context, state, folder, image, n string, show bool) error {
	server, err := newServer(ctx, state)
	if err != nil {
		return err
	}
	lis := bufconn.Listen(1 << 20)
	go func() { _ = server.Serve(lis) }()
	c, err := client.New(ctx, "", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		return err
	}
	files, err := fsutil.NewFS(folder)
	if err != nil {
		return err
	}
	what := client.SolveOpt{Frontend: "dockerfile.v0", LocalMounts: map[string]fsutil.FS{"context": files, "dockerfile": files}}
	if !show {
		what.Exports = []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{"name": image, "push": "true"}}}
		_, err = c.Solve(ctx, nil, what, nil)
		return errors.Join(err, c.Close())
	}
	what.FrontendAttrs = map[string]string{"build-arg:N": n}
	progress := make(chan *client.SolveStatus)
	var both errgroup.Group
	both.Go(func() error { return shown(progress) })
	both.Go(func() error { _, err := c.Solve(ctx, nil, what, progress); return err })
	return errors.Join(both.Wait(), c.Close())
}

// shown prints what the steps print.
func shown(progress <-chan *client.SolveStatus) error {
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	for status := range progress {
		for _, l := range status.Logs {
			_, _ = out.Write(l.Data) // the error stays, and Flush returns it
		}
	}
	return out.Flush()
}

// newServer makes what buildkitd has behind its socket.
func newServer(ctx context.Context, state string) (*grpc.Server, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	overlays := runc.SnapshotterFactory{Name: "overlayfs", New: func(root string) (snapshots.Snapshotter, error) {
		return overlay.NewSnapshotter(root, overlay.AsynchronousRemove)
	}}
	command, err := exec.LookPath("runc")
	if err != nil {
		return nil, err
	}
	opt, err := runc.NewWorkerOpt(state, overlays, false, oci.ProcessSandbox, nil, nil, netproviders.Opt{Mode: "host"}, nil, command, "", false, nil, "", "", nil)
	if err != nil {
		return nil, err
	}
	opt.RegistryHosts = docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchLocalhost))
	work, err := base.NewWorker(ctx, opt)
	if err != nil {
		return nil, err
	}
	workers := &worker.Controller{}
	if err := workers.Add(work); err != nil {
		return nil, err
	}
	sessions, err := session.NewManager()
	if err != nil {
		return nil, err
	}
	keys, err := bboltcachestorage.NewStore(filepath.Join(state, "cache.db"))
	if err != nil {
		return nil, err
	}
	history, err := boltutil.SafeOpen(filepath.Join(state, "history.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	ctl, err := control.NewController(control.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		Frontends:        map[string]frontend.Frontend{"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build)},
		CacheManager:     solver.NewCacheManager(ctx, "local", keys, worker.NewCacheResultStorage(workers)),
		Entitlements:     []string{"network.host"},
		HistoryConfig:    &bkconfig.HistoryConfig{MaxEntries: new(int64)},
		HistoryDB:        history,
		CacheStore:       keys,
		LeaseManager:     work.LeaseManager(),
		ContentStore:     work.ContentStore(),
		GarbageCollect:   work.GarbageCollect,
		GracefulStop:     ctx.Done(),
	})
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize), grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize))
	ctl.Register(server)
	return server, nil
}

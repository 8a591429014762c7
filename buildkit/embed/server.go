//go:build linux

package embed

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/defaults"
	bkconfig "github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/grpcerrors"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto" // the codec of buildkitd
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// How long each part of closing may take; together less than a CI gives us
// after a cancel.
const (
	handlersTime = 2 * time.Second
	commandsTime = 2 * time.Second
)

// A config says how a solver runs. It is sent to the child as JSON.
type config struct {
	State        string   // the state folder
	Root         string   // of what is ours in it; locked by us
	Isolated     bool     // Root is removed in the end
	Runc         string   // path; empty means the one inside this binary
	Rootless     bool     // we are root of a user namespace
	SingleID     bool     // with one user id in it
	NoSandbox    bool     // containers share our processes, as /proc cannot be mounted
	PlainHTTP    []string //
	Mirrors      map[string][]string
	Patience     time.Duration
	Entitlements []string //
	Debug        bool     // log all
}

// A server is a solver in this process.
type server struct {
	cfg  config
	disk *store
	ctl  *control.Controller
	grpc *grpc.Server
	lis  *bufconn.Listener
	work *base.Worker
	keys solver.CacheManager
	runs *runs
	end  func() error
}

// startServer brings up a solver on a state folder that is locked.
func startServer(ctx context.Context, cfg config) (_ *server, err error) {
	unsynced := cfg.Isolated // it is thrown away in the end
	if !cfg.Isolated {
		if unsynced, err = trust(cfg.Root); err != nil {
			return nil, err
		}
	}
	if err := sweep(ctx, cfg); err != nil {
		return nil, err
	}
	sweepIsolated(ctx, cfg)
	if err := wholeLogs(); err != nil {
		return nil, err
	}
	life, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &server{cfg: cfg}
	defer func() {
		if err != nil {
			stop(err)
		}
	}()
	if s.disk, err = openStore(life, cfg.Root, unsynced); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.disk.close())
		}
	}()
	if s.work, s.runs, err = newWorker(life, cfg, s.disk); err != nil {
		return nil, err
	}
	if err := guardDownloads(s.work, cfg.Patience); err != nil {
		return nil, err
	}
	if err := s.control(life); err != nil {
		return nil, err
	}
	s.grpc = grpc.NewServer(
		grpc.UnaryInterceptor(grpcerrors.UnaryServerInterceptor),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
		grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize),
		grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize),
		grpc.WaitForHandlers(true),
	)
	s.ctl.Register(s.grpc)
	s.lis = bufconn.Listen(1 << 20)
	s.end = func() error {
		stop(errors.New("the solver was closed"))
		return s.shutdown(context.WithoutCancel(life))
	}
	go s.serve(s.lis)
	return s, nil
}

// control makes the part of buildkitd that answers.
func (s *server) control(life context.Context) error {
	workers := &worker.Controller{}
	if err := workers.Add(&datingWorker{s.work, newLayers(s.work.ContentStore(), s.work.LeaseManager())}); err != nil {
		return err
	}
	sessions, err := session.NewManager()
	if err != nil {
		return err
	}
	images, err := gateway.NewGatewayFrontend(workers.Infos(), nil)
	if err != nil {
		return err
	}
	store, err := bboltcachestorage.NewStore(filepath.Join(s.cfg.Root, "cache.db"))
	if err != nil {
		return err
	}
	history, err := boltutil.SafeOpen(filepath.Join(s.cfg.Root, "history.db"), 0o600,
		&bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true, NoSync: s.disk.unsynced})
	if err != nil {
		return err
	}
	hosts := registries(s.cfg)
	known := &keys{CacheKeyStorage: store}
	s.keys = solver.NewCacheManager(life, "local", known, worker.NewCacheResultStorage(workers))
	known.opened = true
	s.ctl, err = control.NewController(control.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		Frontends: map[string]frontend.Frontend{
			"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build),
			"gateway.v0":    images,
		},
		CacheManager:              s.keys,
		ResolveCacheExporterFuncs: cacheExporters(sessions, hosts, s.cfg.Patience),
		ResolveCacheImporterFuncs: cacheImporters(sessions, s.work.ContentStore(), hosts, s.cfg.Patience),
		// RUN has the host's network anyway. Who asks for it by name is asked by solve.
		Entitlements:   append([]string{"network.host"}, s.cfg.Entitlements...),
		HistoryConfig:  &bkconfig.HistoryConfig{MaxEntries: new(int64)}, // none: it would hold the tokens of caches
		HistoryDB:      history,
		CacheStore:     store,
		LeaseManager:   s.work.LeaseManager(),
		ContentStore:   s.work.ContentStore(),
		GarbageCollect: s.work.GarbageCollect,
		GracefulStop:   life.Done(),
	})
	return err
}

// serve answers on a listener until it or the server is closed.
func (s *server) serve(lis net.Listener) { _ = s.grpc.Serve(lis) }

func (s *server) dial(ctx context.Context) (net.Conn, error) { return s.lis.DialContext(ctx) }

func (s *server) close() error { return s.end() }

// shutdown ends all builds, waits until their commands are gone, prunes the
// cache, closes the databases, and removes what is mounted still.
func (s *server) shutdown(ctx context.Context) error {
	within(handlersTime, s.grpc.Stop)
	s.runs.wait(commandsTime)
	if !s.cfg.Isolated {
		s.prune(ctx)
	}
	err := errors.Join(s.ctl.Close(), s.disk.close(), sweep(ctx, s.cfg))
	if s.cfg.Isolated {
		return errors.Join(err, empty(s.cfg.Root))
	}
	if err == nil && s.disk.unsynced {
		err = settle(s.cfg.Root)
	}
	_ = reserve(s.cfg.Root) // the next start tries again
	return err
}

// within calls fn and goes on when it is done, or when it takes too long.
func within(d time.Duration, fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

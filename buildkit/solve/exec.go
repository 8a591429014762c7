package solve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	gatewaypb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/moby/buildkit/util/system"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-ci/slipway/buildkit"
)

// Exec runs a command inside an image, once, and never from a cache. Its output
// is watched as it comes. The environment goes to the process alone: it becomes
// part of no definition, cache or history. The error is a *buildkit.ExitError if
// the command ran and ended with another code than zero.
func (b *Builder) Exec(ctx context.Context, cmd buildkit.Command, watch func(buildkit.Progress)) error {
	at, err := b.locate(ctx, cmd.Image)
	if err != nil {
		return err
	}
	c, err := b.client(ctx)
	if err != nil {
		return err
	}
	opt := client.SolveOpt{Internal: true, Session: []session.Attachable{b.auth(), secretsprovider.FromMap(secretBytes(cmd.Files))}}
	if err := b.ownNetwork(ctx, c, cmd); err != nil {
		return err
	}
	if cmd.Source != nil {
		files, err := readFolder(ctx, buildkit.Spec{Context: cmd.Source.Folder, Include: cmd.Source.Include}, b.Known)
		if err != nil {
			return err
		}
		defer files.close()
		b.send(ctx, c, &opt, map[string]*tree{sourceName: files})
	}
	if cmd.Network == "host" {
		opt.AllowedEntitlements = []string{entitlements.EntitlementNetworkHost.String()}
	}
	if opt.OCIStores, err = b.stores(ctx); err != nil {
		return err
	}
	f := newFollower(buildkit.Spec{}, watch)
	run := &execution{cmd: cmd, at: at, follower: f, vertex: digest.FromString(identity.NewID())}
	_, err = c.Build(ctx, opt, "", run.do, f.start())
	f.wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case run.err != nil:
		return run.err
	case err != nil:
		return reword(err)
	}
	return nil
}

// An execution is one command that runs.
type execution struct {
	*follower
	cmd    buildkit.Command
	at     location
	vertex digest.Digest
	err    error // what became of the command, once it ran
}

func (e *execution) do(ctx context.Context, g gateway.Client) (*gateway.Result, error) {
	root, config, err := e.load(ctx, g)
	if err != nil {
		return nil, err
	}
	start, err := e.request(config)
	if err != nil {
		return nil, err
	}
	name := strings.Join(start.Args, " ")
	began := time.Now()
	e.say(buildkit.Progress{Vertex: e.vertex.String(), Name: name, Started: began})
	mounts, err := e.mounts(ctx, g, root)
	if err != nil {
		return nil, err
	}
	e.err = e.run(ctx, g, mounts, start)
	end := buildkit.Progress{Vertex: e.vertex.String(), Name: name, Started: began, Completed: time.Now()}
	if e.err != nil {
		end.Error = e.err.Error()
	}
	e.say(end)
	return gateway.NewResult(), nil
}

// load gets the image's file system and configuration.
func (e *execution) load(ctx context.Context, g gateway.Client) (gateway.Reference, ocispecs.ImageConfig, error) {
	var image ocispecs.Image
	ref := e.at.ref
	var opt sourceresolver.Opt
	name := llb.WithCustomName("load " + buildkit.Short(e.cmd.Image.Digest))
	if e.at.registry {
		opt.ImageOpt = &sourceresolver.ResolveImageOpt{}
	} else {
		ref = "docker.io/library/" + ref // a name is wanted; the store is asked by digest
		store := sourceresolver.ResolveImageConfigOptStore{SessionID: g.BuildOpts().SessionID, StoreID: storeName}
		opt.OCILayoutOpt = &sourceresolver.ResolveOCILayoutOpt{Store: store}
	}
	_, _, text, err := g.ResolveImageConfig(ctx, ref, opt)
	if err != nil {
		return nil, image.Config, err
	}
	if err := json.Unmarshal(text, &image); err != nil {
		return nil, image.Config, fmt.Errorf("config of %s: %w", ref, err)
	}
	def, err := e.at.state(g.BuildOpts().SessionID, name).Marshal(ctx)
	if err != nil {
		return nil, image.Config, err
	}
	res, err := g.Solve(ctx, gateway.SolveRequest{Definition: def.ToPB(), Evaluate: true})
	if err != nil {
		return nil, image.Config, err
	}
	root, err := res.SingleRef()
	return root, image.Config, err
}

// request puts the command over the image's configuration.
func (e *execution) request(config ocispecs.ImageConfig) (gateway.StartRequest, error) {
	r := gateway.StartRequest{Args: e.cmd.Args, Cwd: e.cmd.Dir, User: e.cmd.User, Env: config.Env}
	if len(r.Args) == 0 {
		r.Args = slices.Concat(config.Entrypoint, config.Cmd)
	}
	if len(r.Args) == 0 {
		return r, fmt.Errorf("image %s has no command (set command:)", buildkit.Short(e.cmd.Image.Digest))
	}
	if r.Cwd == "" {
		r.Cwd = config.WorkingDir
	}
	if r.Cwd == "" {
		r.Cwd = "/"
	}
	if r.User == "" {
		r.User = config.User
	}
	if !slices.ContainsFunc(r.Env, func(kv string) bool { return strings.HasPrefix(kv, "PATH=") }) {
		r.Env = append([]string{"PATH=" + system.DefaultPathEnvUnix}, r.Env...)
	}
	for _, name := range slices.Sorted(maps.Keys(e.cmd.Env)) {
		r.Env = slices.DeleteFunc(slices.Clone(r.Env), func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		r.Env = append(r.Env, name+"="+e.cmd.Env[name])
	}
	return r, nil
}

// run starts the container, waits for it, takes from it what it shall leave, and
// takes it away.
func (e *execution) run(ctx context.Context, g gateway.Client, mounts []gateway.Mount, start gateway.StartRequest) error {
	req := gateway.NewContainerRequest{NetMode: pb.NetMode_NONE, Mounts: mounts}
	switch e.cmd.Network {
	case "host":
		req.NetMode = pb.NetMode_HOST
	case "private":
		req.NetMode = pb.NetMode_UNSET
	}
	ctr, err := g.NewContainer(ctx, req)
	if err != nil {
		return err
	}
	defer func() {
		if ctx.Err() == nil { // else the builder has taken it away with the build
			_ = ctr.Release(ctx)
		}
	}()
	start.Stdout = output{e}
	start.Stderr = output{e}
	process, err := ctr.Start(ctx, start)
	if err != nil {
		return err
	}
	err = process.Wait()
	var exit *gatewaypb.ExitError
	if errors.As(err, &exit) {
		log := e.lines()
		err = &buildkit.ExitError{Code: exitCode(exit, log), Log: log}
	}
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, e.take(ctx, ctr))
}

// exitCode gives a command that could not be started the code that a shell
// would: runc ends with 1, and only its words tell the difference.
func exitCode(exit *gatewaypb.ExitError, log []string) int {
	if exit.ExitCode == 1 && len(log) > 0 && strings.HasPrefix(log[len(log)-1], "runc run failed: unable to start container process: ") {
		if strings.HasSuffix(log[len(log)-1], "permission denied") {
			return 126
		}
		return 127
	}
	return int(exit.ExitCode)
}

func (e *execution) lines() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tail(e.vertex).last()
}

// An output is where a command writes.
type output struct{ e *execution }

func (o output) Write(p []byte) (int, error) {
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	o.e.tail(o.e.vertex).write(p)
	o.e.watch(buildkit.Progress{Vertex: o.e.vertex.String(), Log: string(p)})
	return len(p), nil
}

func (o output) Close() error { return nil }

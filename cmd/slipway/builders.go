package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/registry"
	"github.com/slipway-ci/slipway/buildkit/solve"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/stages"
)

// A solver is something that builds. It starts when it is first dialled.
type solver interface {
	Dial(ctx context.Context) (net.Conn, error)
	Close() error
	// know says which registries are spoken to without TLS, and where others are
	// mirrored, before the first Dial.
	know(plainHTTP []string, mirrors map[string][]string)
}

// A builder is what stages build with: a solver of our own, one elsewhere, or a
// fleet of those. No stage knows which.
type builder interface {
	stages.Builder
	stages.Executor
	registry.Content
	Files(ctx context.Context, img buildkit.Image, w io.Writer, watch func(buildkit.Progress)) error
	Close() error
}

var (
	_ builder = (*solve.Builder)(nil)
	_ builder = (*solve.Fleet)(nil)
)

// stateFlag adds the flag that says where builds and what is remembered of them lie.
func (a *app) stateFlag(c *cobra.Command) {
	c.Flags().StringVar(&a.flags.state, "state", "", "folder for the state of builds (default: slipway in the user's cache folder)")
}

// builderFlags adds the flags that say where images are built.
func (a *app) builderFlags(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	a.stateFlag(c)
	f.BoolVar(&a.flags.isolated, "isolated", false, "build with a state of its own, which is thrown away: nothing is waited for, nothing is in the cache")
	f.StringSliceVar(&a.flags.builders, "builder", nil, "build elsewhere: unix:///path, tcp://host:port, kube-pod://name, docker-container://name, ssh://host, or docker; several share the work; with PLATFORM= before it, for that platform (default: $BUILDKIT_HOST)")
	f.StringVar(&a.flags.builderCert.Dir, "builder-tls-dir", "", "folder with ca.pem, cert.pem and key.pem (or ca.crt, tls.crt, tls.key) for builders on TCP")
	f.StringVar(&a.flags.builderCert.ServerName, "builder-tls-name", "", "name in the certificate of builders on TCP (default: the host of their address)")
	return c
}

// state returns the folder for the state of builds.
func (a *app) state() string {
	if a.flags.state != "" {
		return a.flags.state
	}
	if cache, err := os.UserCacheDir(); err == nil {
		return filepath.Join(cache, "slipway")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("slipway-%d", os.Getuid()))
}

// remotes returns the builders that the user named; none means our own.
func (a *app) remotes() ([]*solve.Member, error) {
	addresses, what := a.flags.builders, "--builder"
	if host, ok := a.env("BUILDKIT_HOST"); ok && host != "" && len(addresses) == 0 {
		addresses, what = strings.Split(host, ","), "BUILDKIT_HOST"
	}
	var members []*solve.Member
	for _, address := range addresses {
		platform := ""
		if p, rest, ok := strings.Cut(address, "="); ok && strings.Contains(p, "/") && !strings.Contains(p, ":") {
			platform, address = p, rest
		}
		dial, err := solve.Dial(address, a.flags.builderCert)
		if err != nil {
			return nil, usagef("%s: %w", what, err)
		}
		members = append(members, &solve.Member{Name: address, Platform: platform, Builder: &solve.Builder{Dial: dial, Docker: address == "docker"}})
	}
	return members, nil
}

// addBuilders gives a world what it builds with.
func (a *app) addBuilders(w *world) {
	members, err := a.remotes()
	for _, m := range members {
		m.Env, m.Patience = a.env, a.patience
	}
	switch {
	case err != nil: // was said before any command ran
		w.builder = &solve.Builder{Dial: func(context.Context) (net.Conn, error) { return nil, err }}
		return
	case len(members) == 0:
		own := newSolver(w.state, a.flags.isolated, a.flags.plainHTTP, a.patience, a.waiting, a.log())
		b := &solve.Builder{Dial: own.Dial, Env: a.env, Patience: a.patience}
		if !a.flags.isolated { // else there is no next time
			b.Sent = filepath.Join(w.state, "sent") // goes wherever the solver's state goes
		}
		w.members = []*solve.Member{{Name: w.state, Builder: b}}
		w.builder, w.own, w.close = b, own, []func() error{b.Close, own.Close}
		return
	case len(members) == 1:
		w.builder = members[0].Builder
	default:
		w.builder = &solve.Fleet{Members: members}
	}
	w.members, w.close = members, []func() error{w.builder.Close}
}

// turns is how many images a run builds at once. Each takes a megabyte and some goroutines,
// and time from the others. Zero is no limit: builders elsewhere limit themselves.
func (w *world) turns() int {
	if w.own == nil {
		return 0
	}
	return 8 * runtime.GOMAXPROCS(0)
}

// know takes over what the pipeline file says of registries, beside the flag.
// Builders elsewhere have settings of their own.
func (w *world) know(r pipeline.Registries) {
	w.images.PlainHTTP, w.images.Mirrors = append(slices.Clone(w.plain), r.PlainHTTP()...), r.Mirrors()
	if w.own != nil {
		w.own.know(w.images.PlainHTTP, w.images.Mirrors)
	}
}

// waiting tells the user whose lock keeps us.
func (a *app) waiting(lock *buildkit.LockError) {
	fmt.Fprintf(a.stderr, "waiting: %v (--isolated does not wait)\n", lock)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/registry"
)

func (a *app) registry() *cobra.Command {
	c := &cobra.Command{
		Use: "registry", Short: "A small registry, for trying things out",
		RunE: func(*cobra.Command, []string) error {
			return usagef("what about the registry? (want slipway registry serve)")
		},
	}
	var addr, dir string
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Serve a registry from a folder until interrupted",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("dir") {
				here, err := os.OpenRoot(".")
				if err != nil {
					return err
				}
				defer here.Close()
				if err := ownFolder(here); err != nil {
					return usagef("no folder for images can be made here: %w (name one with --dir)", err)
				}
			}
			return a.serve(c.Context(), addr, &registry.Server{Dir: dir, Log: a.log(), Space: func() string {
				if d, ok := diskOf(dir); ok {
					return fmt.Sprintf("%s free of %s", buildkit.Bytes(d.Free), buildkit.Bytes(d.Total))
				}
				return ""
			}})
		},
	}
	serve.Flags().StringVar(&addr, "addr", "127.0.0.1:5000", "address to listen on; it asks nobody for a password, so keep it on loopback")
	serve.Flags().StringVar(&dir, "dir", filepath.Join(ownDir, "registry"), "folder for blobs and manifests; this one is part of no build context and no commit")
	c.AddCommand(serve)
	return c
}

// serve answers requests until ctx ends, and finishes those that have begun.
func (a *app) serve(ctx context.Context, addr string, h http.Handler) error {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return usagef("%w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(a.stderr, "registry listens on %s\n", lis.Addr())
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(lis) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		return errors.Join(srv.Close(), context.Cause(ctx))
	}
	return context.Cause(ctx)
}

package main

import (
	"context"
	"io"
	"net"

	"golang.org/x/sync/errgroup"
)

// forward passes every connection to addr on to target, so that a server on loopback can be
// reached from pods. It returns when ctx ends.
func forward(ctx context.Context, addr, target string) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var conns errgroup.Group
	for {
		in, err := l.Accept()
		if err != nil {
			_ = conns.Wait()
			return err
		}
		conns.Go(func() error {
			join(ctx, in, target)
			return nil
		})
	}
}

// join copies both ways between a connection and target until either side or ctx ends.
func join(ctx context.Context, in net.Conn, target string) {
	defer in.Close()
	var d net.Dialer
	out, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer out.Close()
	stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() })
	defer stop()
	var both errgroup.Group
	pipe := func(to, from net.Conn) func() error {
		return func() error {
			_, err := io.Copy(to, from)
			to.Close()
			return err
		}
	}
	both.Go(pipe(out, in))
	both.Go(pipe(in, out))
	_ = both.Wait()
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `usage: slipway-cluster up   --dir DIR --node kwok|kubelet [--registry 127.0.0.1:PORT]... [--api-port N]
       slipway-cluster down --dir DIR [--purge] [--when-stdin-ends]
`

// run does what the first argument says and returns the exit code: 0, 1 when it failed, 2 when
// the argument says nothing it knows.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	words := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"up":            upCommand,
		"down":          downCommand,
		controlPlane:    controlPlaneCommand,
		nodeInit:        nodeInitCommand,
		kubeletInstance: kubeletCommand,
	}
	if len(args) == 0 || words[args[0]] == nil {
		fmt.Fprint(stderr, usage)
		return 2
	}
	if err := words[args[0]](ctx, args[1:], stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "slipway-cluster %s: %v\n", args[0], err)
		return 1
	}
	return 0
}

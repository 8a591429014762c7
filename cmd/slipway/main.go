// Command slipway builds images and rolls them out, and stays until it can
// prove what runs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/slipway-ci/slipway/cmd/slipway/heap"
)

func main() {
	if code, played := playPart(); played {
		os.Exit(code)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		got := <-signals
		cancel(interrupted{got})
		<-signals // asked twice: leave what is left to the next run's sweep
		os.Exit(interrupted{got}.code())
	}()
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: runnersOwn()}
	os.Exit(a.main(ctx, os.Args[1:]))
}

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ os.Signal }

func (i interrupted) Error() string { return fmt.Sprintf("interrupted by signal: %v", i.Signal) }

func (i interrupted) code() int {
	if i.Signal == syscall.SIGTERM {
		return exitTerminated
	}
	return exitInterrupted
}

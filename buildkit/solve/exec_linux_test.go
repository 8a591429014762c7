package solve_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

func TestExec(t *testing.T) {
	b := newBuilder(t)
	img, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "ENV A=image B=image\nWORKDIR /w\nUSER 0:0\nCMD [\"echo\", \"from cmd\"]\n", nil)})
	tests := []struct {
		name string
		cmd  buildkit.Command
		out  string
		code int
	}{
		{"cmd of the image", buildkit.Command{}, "from cmd\n", 0},
		{"environment and folder", buildkit.Command{Args: []string{"sh", "-c", "echo $A $B $PWD"}, Env: map[string]string{"A": "command"}}, "command image /w\n", 0},
		{"folder", buildkit.Command{Args: []string{"pwd"}, Dir: "/bin"}, "/bin\n", 0},
		{"exit code", buildkit.Command{Args: []string{"sh", "-c", "echo out; exit 3"}}, "out\n", 3},
		{"error output", buildkit.Command{Args: []string{"sh", "-c", "echo err >&2"}}, "err\n", 0},
		{"exit code 255", buildkit.Command{Args: []string{"sh", "-c", "exit 255"}}, "", 255},
		{"killed", buildkit.Command{Args: []string{"sh", "-c", "sh -c 'kill -9 $$'; exit $?"}}, "Killed\n", 137},
		{"no network", buildkit.Command{Args: []string{"sh", "-c", "grep -c : /proc/net/dev; cat /proc/net/route | wc -l"}}, "1\n1\n", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cmd.Image = img
			var r record
			err := b.Exec(t.Context(), tt.cmd, r.watch)
			var exit *buildkit.ExitError
			switch {
			case tt.code == 0 && err != nil:
				t.Error(err)
			case tt.code != 0 && (!errors.As(err, &exit) || exit.Code != tt.code):
				t.Errorf("error: %v, want exit code %d", err, tt.code)
			case tt.code != 0 && strings.Join(exit.Log, "\n") != strings.TrimSuffix(tt.out, "\n"):
				t.Errorf("log: %q", exit.Log)
			}
			if got := r.log(); got != tt.out {
				t.Errorf("output: %q, want %q", got, tt.out)
			}
		})
	}
	t.Run("no such program", func(t *testing.T) {
		var r record
		err := b.Exec(t.Context(), buildkit.Command{Image: img, Args: []string{"nonsense"}}, r.watch)
		var exit *buildkit.ExitError
		if !errors.As(err, &exit) || exit.Code != 127 || !strings.Contains(r.log(), "nonsense") {
			t.Errorf("error: %v, output: %q", err, r.log())
		}
	})
}

// Nothing of an Exec is cached, and two at once do not see each other.
func TestExecTwice(t *testing.T) {
	b := newBuilder(t)
	img, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "", nil)})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			var r record
			cmd := buildkit.Command{Image: img, Args: []string{"sh", "-c", fmt.Sprintf("test ! -e /mine && echo %d > /mine && sleep 0.2 && cat /mine", i)}}
			if err := b.Exec(t.Context(), cmd, r.watch); err != nil {
				t.Error(err)
			}
			if want := fmt.Sprintln(i); r.log() != want {
				t.Errorf("output: %q, want %q", r.log(), want)
			}
		})
	}
	wg.Wait()
}

func TestCancelExec(t *testing.T) {
	b := newBuilder(t)
	img, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "", nil)})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	began := time.Now()
	err := b.Exec(ctx, buildkit.Command{Image: img, Args: []string{"sh", "-c", "echo up; sleep 986"}}, func(p buildkit.Progress) {
		if p.Log != "" {
			cancel(why)
		}
	})
	if !errors.Is(err, why) {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(began); took > 5*time.Minute { // the command sleeps for longer
		t.Errorf("took %v", took)
	}
}

package solve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/docker/cli/cli/connhelper/commandconn"
	"github.com/moby/buildkit/client/connhelper/ssh"
)

// spoken dials through a command, such as kubectl, and waits until a buildkitd has
// said something: a command that was started has not brought us there yet, and a
// buildkitd speaks first.
func spoken(dial Dialer) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		through := throughCommand{conn}
		ahead := bufio.NewReader(through)
		_, err = ahead.Peek(1)
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		return &buffered{through, ahead}, nil
	}
}

// dialSSH is what BuildKit's helper does, but for noticing that a machine is gone that
// does not say so. (kubectl does by itself.)
func dialSSH(to *ssh.Spec) Dialer {
	args := []string{
		"-o", fmt.Sprintf("ServerAliveInterval=%.0f", keepAlive().Idle.Seconds()),
		"-o", fmt.Sprintf("ServerAliveCountMax=%d", silentTries),
	}
	if to.User != "" {
		args = append(args, "-l", to.User)
	}
	if to.Port != "" {
		args = append(args, "-p", to.Port)
	}
	args = append(args, "--", to.Host, "buildctl")
	if to.Socket != "" {
		args = append(args, "--addr", "unix://"+to.Socket)
	}
	args = append(args, "dial-stdio")
	return func(ctx context.Context) (net.Conn, error) { return commandconn.New(ctx, "ssh", args...) }
}

// silentTries is how often a machine that says nothing is asked whether it is there.
const silentTries = 2

// A throughCommand is a connection whose errors are what its command said in the end.
type throughCommand struct{ net.Conn }

func (c throughCommand) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, said(err)
}

func (c throughCommand) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, said(err)
}

// ended finds what a command said, in the words of who runs it, which has another
// guess of its own at what is wrong.
var ended = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)^command \[(\S+).*\] has exited with (.*), make sure the URL is valid.*: stderr=(.*)$`)
})

// klogLine finds what kubectl writes for its developers.
var klogLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\] `) })

func said(err error) error {
	if err == nil {
		return nil
	}
	m := ended().FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	lines := strings.FieldsFunc(m[3], func(r rune) bool { return r == '\n' || r == '\r' })
	if plain := slices.DeleteFunc(slices.Clone(lines), klogLine().MatchString); len(plain) > 0 {
		lines = plain
	}
	words := strings.Join(lines, "; ")
	if words == "" {
		words = m[2]
	}
	return errors.New(m[1] + ": " + strings.TrimPrefix(words, m[1]+": "))
}

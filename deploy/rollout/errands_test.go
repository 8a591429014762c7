package rollout

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// answers are what a kubelet says of logs, one after the other; "" is an error.
type answers []string

func (a *answers) Logs(context.Context, string, string, string, bool, int64) (io.ReadCloser, error) {
	text := (*a)[0]
	*a = (*a)[1:]
	if text == "" {
		return nil, errors.New("previous terminated container not found")
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// TestDig asks a kubelet for the log of what died while that is started again.
func TestDig(t *testing.T) {
	const (
		gone     = `unable to retrieve container logs for containerd://3b8d`
		symlinks = `failed to try resolving symlinks in path "/var/log/pods/shop_web/server/0.log": lstat: no such file or directory`
	)
	for _, test := range []struct {
		name string
		says answers
		want []string
	}{
		{"at once", answers{"one\ntwo\n"}, []string{"one", "two"}},
		{"of the present run", answers{"", "one\n"}, []string{"one"}},
		{"between two runs", answers{gone, "", "one\n"}, []string{"one"}},
		{"the kubelet's own words", answers{gone, symlinks, "", gone}, nil},
		{"what a program says of a kubelet", answers{"see:\n" + gone + "\n"}, []string{"see:", gone}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				says := slices.Clone(test.says)
				got, err := dig(t.Context(), &says, grave{previous: true})
				if !slices.Equal(got, test.want) || (err != nil) != (test.want == nil) {
					t.Errorf("got %q, %v, want %q", got, err, test.want)
				}
			})
		})
	}
}

package buildkit

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// A Git is a folder of a git repository at one commit.
type Git struct {
	URL    string // as git understands it
	Ref    string // branch, tag or commit; empty means the remote's HEAD
	Subdir string // within the repository; empty means all of it
	Commit string // what Ref stands for; empty until it is resolved
}

// String returns the URL with ref and subdir, as it is written.
func (g Git) String() string {
	text := g.URL
	if g.Ref != "" || g.Subdir != "" {
		text += "#" + g.Ref
	}
	if g.Subdir != "" {
		text += ":" + g.Subdir
	}
	return text
}

var scp = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^/:][^:]*$`) })

// ParseGit reads "URL#ref:subdir". It reports false for what is no URL of a git
// repository: https, http, ssh, git and file are its schemes, and git@host:path
// is one without a scheme.
//
// See https://docs.docker.com/build/concepts/context/#url-fragments.
func ParseGit(text string) (Git, bool) {
	address, fragment, _ := strings.Cut(text, "#")
	var g Git
	g.Ref, g.Subdir, _ = strings.Cut(fragment, ":")
	g.URL = address
	if scp().MatchString(address) {
		return g, true
	}
	u, err := url.Parse(address)
	if err != nil {
		return Git{}, false
	}
	switch u.Scheme {
	case "https", "http", "ssh", "git", "file":
		return g, u.Path != ""
	}
	return Git{}, false
}

package inputs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/slipway-ci/slipway/buildkit"
)

// A filter decides what of a context is sent.
type filter struct {
	include *patternmatcher.PatternMatcher // nil lets all pass
	exclude *patternmatcher.PatternMatcher
}

// matches is what a folder's path gave, for the paths below it.
type matches struct{ include, exclude patternmatcher.MatchInfo }

// newFilter reads the ignore file of a context and composes its rules with the
// spec's own.
func newFilter(root *os.Root, spec buildkit.Spec) (*filter, error) {
	name, ignored, err := readIgnore(root, spec)
	if err != nil {
		return nil, err
	}
	include, exclude := spec.Filter(ignored)
	f := &filter{}
	if len(include) > 0 {
		if f.include, err = compile("include:", include); err != nil {
			return nil, err
		}
	}
	f.exclude, err = compile(name, exclude)
	return f, err
}

// readIgnore returns the name and the patterns of the ignore file that counts.
func readIgnore(root *os.Root, spec buildkit.Spec) (string, []string, error) {
	for _, name := range spec.IgnoreFiles() {
		text, err := readSmall(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, unreadable(name, err)
		}
		patterns, err := ignorefile.ReadAll(strings.NewReader(string(text)))
		if err != nil {
			return "", nil, unreadable(name, err)
		}
		return name, patterns, nil
	}
	return "", nil, nil
}

// compile makes a matcher, and names the pattern that is at fault.
func compile(where string, patterns []string) (*patternmatcher.PatternMatcher, error) {
	for _, p := range patterns {
		if !strings.ContainsAny(p, `[\!`) {
			continue // nothing in it can be wrong
		}
		alone := []string{p}
		if strings.HasPrefix(p, "!") {
			alone = []string{"**", p} // it counts where something matched
		}
		one, err := patternmatcher.New(alone)
		if err == nil {
			_, err = one.MatchesOrParentMatches("a") // a pattern is compiled when it is first used
		}
		if err != nil {
			return nil, fmt.Errorf("%s pattern %q is not like those of a .dockerignore: %w", where, p, err)
		}
	}
	return patternmatcher.New(patterns)
}

// match reports whether a path passes, given what its folder's path gave.
func (f *filter) match(path string, parent matches) (bool, matches, error) {
	var seen matches
	included := true
	if f.include != nil {
		var err error
		included, seen.include, err = f.include.MatchesUsingParentResults(path, parent.include)
		if err != nil {
			return false, seen, err
		}
	}
	excluded, info, err := f.exclude.MatchesUsingParentResults(path, parent.exclude)
	seen.exclude = info
	return included && !excluded, seen, err
}

// mayHold reports whether something in a folder that does not pass may pass. It
// saves the walk of node_modules and may err on the side of looking.
func (f *filter) mayHold(dir string) bool {
	if f.include != nil {
		if in, _ := f.include.MatchesOrParentMatches(dir); !in && !anyBelow(f.include, dir, false) {
			return false
		}
	}
	if out, _ := f.exclude.MatchesOrParentMatches(dir); out && !anyBelow(f.exclude, dir, true) {
		return false
	}
	return true
}

// anyBelow reports whether one of a matcher's patterns, or of its exceptions,
// may match a path in the folder.
func anyBelow(m *patternmatcher.PatternMatcher, dir string, exceptions bool) bool {
	for _, p := range m.Patterns() {
		if p.Exclusion() != exceptions {
			continue
		}
		fixed := filepath.ToSlash(p.String())
		if i := strings.IndexAny(fixed, `*?[\^`); i >= 0 {
			fixed = fixed[:i]
		}
		// Either the pattern's fixed part leads into the folder, or the folder
		// lies where its wildcards begin.
		if strings.HasPrefix(fixed, dir+"/") || (len(fixed) < len(p.String()) && strings.HasPrefix(dir+"/", fixed)) {
			return true
		}
	}
	return false
}

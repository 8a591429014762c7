package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Dirs returns a function that finds the folders below dir which match a pattern
// such as services/*. It returns what the pattern leaves open, sorted: of
// services/* the names of the folders in services. Links that lead out of dir are
// not followed, and hidden folders are found only by patterns that say so.
func Dirs(dir string) func(pattern string) ([]string, error) {
	return func(pattern string) ([]string, error) {
		found, err := dirs(dir, path.Clean(pattern))
		if err != nil {
			return nil, fmt.Errorf("dirs('%s'): %w", pattern, err)
		}
		return found, nil
	}
}

func dirs(dir, pattern string) ([]string, error) {
	wild := strings.IndexAny(pattern, `*?[\`)
	switch {
	case path.IsAbs(pattern) || pattern == ".." || strings.HasPrefix(pattern, "../"):
		return nil, errors.New("the path leads out of the pipeline file's folder (want one below it)")
	case wild < 0:
		return nil, errors.New("the pattern leaves nothing open (want one such as services/*)")
	case strings.Contains(pattern, "**"):
		return nil, errors.New("** is no pattern here (write a * for each level of folders)")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	base := path.Dir(pattern[:wild] + "x") // the folder before the first wildcard
	if info, err := root.Stat(base); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("there is no folder %s", base)
	}
	names, err := fs.Glob(root.FS(), pattern)
	if err != nil {
		return nil, err
	}
	found := []string{}
	for _, name := range names {
		if info, err := root.Stat(name); err != nil || !info.IsDir() || hidden(name, pattern) {
			continue // a file, or a link that leads nowhere, or out
		}
		if base != "." {
			name = strings.TrimPrefix(name, base+"/")
		}
		found = append(found, name)
	}
	slices.Sort(found)
	return found, nil
}

// hidden reports whether a part of name begins with a dot that the pattern does
// not ask for.
func hidden(name, pattern string) bool {
	asked := strings.Split(pattern, "/")
	for i, part := range strings.Split(name, "/") {
		if strings.HasPrefix(part, ".") && !strings.HasPrefix(asked[i], ".") {
			return true
		}
	}
	return false
}

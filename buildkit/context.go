package buildkit

import (
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
)

// IgnoreFiles returns the names under which a context may hold its ignore rules,
// the first that exists counts: "<Dockerfile>.dockerignore", then ".dockerignore".
func (s Spec) IgnoreFiles() []string {
	return []string{path.Clean(s.DockerfileName()) + ".dockerignore", ".dockerignore"}
}

// Filter returns the patterns that decide what is sent, in the syntax and order
// of a .dockerignore: a path is sent if include is empty or matches it, and
// exclude does not. The rules are the lines of the ignore file.
//
// A folder or file named .git stays at home whatever the rules say, unless
// Include names it. So do the ignore files: whoever walks applies their rules, a
// solver must not find and apply them again, and a comment in them changes no image.
func (s Spec) Filter(rules []string) (include, exclude []string) {
	for _, p := range s.Include {
		if p = cleanPattern(p); p != "" {
			include = append(include, p)
		}
	}
	exclude = slices.Clone(rules)
	if !slices.ContainsFunc(include, namesGit) {
		exclude = append(exclude, "**/.git")
	}
	exclude = append(exclude, "**/.slipway") // records of our own runs
	for _, name := range s.IgnoreFiles() {
		exclude = append(exclude, literal(name))
	}
	return deepPatterns(include), deepPatterns(exclude)
}

// Sent reports whether a context holds files of this kind. Folders, regular
// files and links are sent; sockets, pipes and devices are not, and must not
// even be opened.
func Sent(mode fs.FileMode) bool {
	t := mode.Type()
	return t == 0 || t == fs.ModeDir || t == fs.ModeSymlink
}

// NormalMode returns the mode under which a file of a context is sent and
// hashed: its kind, and whether its owner may execute it. It hides the umask
// and holds no such bit on Windows. Owner, times and extended attributes are not
// sent, and each name of a hard-linked file is a file of its own.
func NormalMode(mode fs.FileMode) fs.FileMode {
	switch t := mode.Type(); {
	case t == fs.ModeSymlink:
		return t | 0o777
	case t == fs.ModeDir || mode&0o100 != 0 && runtime.GOOS != "windows":
		return t | 0o755
	default:
		return t | 0o644
	}
}

// cleanPattern does for one line of Include what a .dockerignore's reader does.
func cleanPattern(p string) string {
	p = strings.TrimSpace(p)
	p, not := strings.CutPrefix(p, "!")
	if p = strings.TrimSpace(p); p == "" {
		return ""
	}
	if p = path.Clean(p); len(p) > 1 {
		p = strings.TrimPrefix(p, "/")
	}
	if not {
		p = "!" + p
	}
	return p
}

// namesGit reports whether .git is one of the elements of a pattern.
func namesGit(pattern string) bool {
	return !strings.HasPrefix(pattern, "!") && slices.Contains(strings.Split(pattern, "/"), ".git")
}

// deepPatterns replaces "x/*/**" by "x/*/**/**", which means the same. BuildKit's
// own walk takes the first for "x" as it decides which folders cannot hold a
// match, and does not look into those below x.
func deepPatterns(patterns []string) []string {
	for i, p := range patterns {
		if strings.HasSuffix(p, "/*/**") {
			patterns[i] = p + "/**"
		}
	}
	return patterns
}

// literal returns the pattern that matches the path and nothing else.
func literal(path string) string { return escapes.Replace(path) }

var escapes = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

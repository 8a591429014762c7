package registry

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// A store is a folder that holds what a registry holds:
//
//	blobs/<hex>                         every blob and manifest, once
//	repos/<name>/_blobs/<hex>           empty: the repository has the blob
//	repos/<name>/_manifests/<hex>       a descriptor: the repository has the manifest
//	repos/<name>/_tags/<tag>            the digest that the tag stands for
//	repos/<name>/_referrers/<hex>/<hex> a descriptor of what refers to the first
//	uploads/<id>                        what came in so far
//
// A file appears whole or not at all: it is written under another name, synced
// and renamed. Links come after what they link to, so a crash leaves behind
// content that nobody sees and never the other way round.
type store struct{ dir string }

// namePattern is the specification's; none of its elements begins with an
// underscore or is "..".
var namePattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
})

func validName(name string) bool { return len(name) <= 255 && namePattern().MatchString(name) }

func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

func (s store) blob(digest string) string { return filepath.Join(s.dir, "blobs", hexOf(digest)) }

func (s store) repo(name string) string {
	return filepath.Join(s.dir, "repos", filepath.FromSlash(name))
}

func (s store) link(name, kind, digest string) string {
	return filepath.Join(s.repo(name), kind, hexOf(digest))
}

func (s store) upload(id string) string { return filepath.Join(s.dir, "uploads", id) }

// tag returns the file of a tag. Capital letters are written as "!a", so that
// tags differ also where names of files don't by case.
func (s store) tag(name, tag string) string {
	var b strings.Builder
	for _, r := range tag {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return filepath.Join(s.repo(name), "_tags", b.String())
}

// tags returns the tags of a repository in order.
func (s store) tags(name string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.repo(name), "_tags"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	tags := []string{}
	for _, e := range entries {
		var b strings.Builder
		upper := false
		for _, r := range e.Name() {
			if upper {
				r = unicode.ToUpper(r)
			}
			if upper = r == '!'; !upper {
				b.WriteRune(r)
			}
		}
		tags = append(tags, b.String())
	}
	slices.Sort(tags)
	return tags, nil
}

// has reports whether a file exists.
func has(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// write writes a file so that it appears whole or not at all.
func (s store) write(path string, data []byte) error {
	temp := s.upload("temp-" + rand.Text())
	if err := os.MkdirAll(filepath.Dir(temp), 0o755); err != nil {
		return err
	}
	if err := writeSynced(temp, data); err != nil {
		os.Remove(temp)
		return err
	}
	return s.rename(temp, path)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// rename gives a finished file its name, or removes it.
func (s store) rename(temp, path string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

func (s store) writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(path, data)
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// names returns the repositories that hold a manifest, in order.
func (s store) names() ([]string, error) {
	root := filepath.Join(s.dir, "repos")
	names := []string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), "_"):
			if d.Name() == "_manifests" {
				name, _ := filepath.Rel(root, filepath.Dir(path)) // path is below root
				names = append(names, filepath.ToSlash(name))
			}
			return fs.SkipDir
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

// sweep removes the content that no repository has, and returns how much. Nobody
// may write to the store meanwhile.
func (s store) sweep() (n int, err error) {
	used := map[string]bool{}
	err = filepath.WalkDir(filepath.Join(s.dir, "repos"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if kind := filepath.Base(filepath.Dir(path)); err == nil && !d.IsDir() && (kind == "_blobs" || kind == "_manifests") {
			used[d.Name()] = true
		}
		return err
	})
	if err != nil {
		return 0, err // not all is known: nothing may go
	}
	blobs, err := os.ReadDir(filepath.Join(s.dir, "blobs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for _, b := range blobs {
		if used[b.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, "blobs", b.Name())); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

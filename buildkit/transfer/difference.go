package transfer

import (
	"fmt"
	"io/fs"
	"path"
)

// A difference is what makes one list of another.
type difference struct {
	gone  []string // paths of what has to go, also where something else takes the place
	made  []int    // folders and links that are new or have changed, by index in the new list
	files []int    // files, in the same way
}

// compare returns what leads from one list to another.
func compare(from, to []Entry) (d difference) {
	left := make(map[string]*Entry, len(from))
	for i := range from {
		left[from[i].Path] = &from[i]
	}
	for i := range to {
		e := &to[i]
		was := left[e.Path]
		if was != nil && *was == *e {
			delete(left, e.Path)
			continue
		}
		if was != nil && was.isDir() && e.isDir() {
			delete(left, e.Path)
		}
		if e.isFile() {
			d.files = append(d.files, i)
		} else {
			d.made = append(d.made, i)
		}
	}
	for i := range from {
		if name := from[i].Path; left[name] != nil {
			d.gone = append(d.gone, name)
		}
	}
	return d
}

// none reports whether both lists are equal.
func (d *difference) none() bool { return len(d.gone)+len(d.made)+len(d.files) == 0 }

func (e *Entry) isDir() bool  { return fs.FileMode(e.Mode).IsDir() }
func (e *Entry) isFile() bool { return fs.FileMode(e.Mode).IsRegular() }

// check returns an error if a list is not that of a folder: if a path would lead out of
// it, also by way of a link, or is there twice.
func check(list []Entry) error {
	seen := make(map[string]bool, len(list)) // path → whether it is a folder
	seen["."] = true
	for i := range list {
		e := &list[i]
		if !fs.ValidPath(e.Path) || !seen[path.Dir(e.Path)] {
			return fmt.Errorf("%q is in no folder that was listed", e.Path)
		}
		if _, twice := seen[e.Path]; twice {
			return fmt.Errorf("%q was listed twice", e.Path)
		}
		if kind := fs.FileMode(e.Mode).Type(); kind&^(fs.ModeDir|fs.ModeSymlink) != 0 || e.Size < 0 {
			return fmt.Errorf("%q is neither file nor folder nor link", e.Path)
		}
		seen[e.Path] = e.isDir()
	}
	return nil
}

package transfer

import (
	"io/fs"
	"strings"
	"testing"
)

// TestCheck has lists that would make a receiver write elsewhere than into its folder.
func TestCheck(t *testing.T) {
	dir := func(name string) Entry { return Entry{Path: name, Mode: uint32(fs.ModeDir | 0o755)} }
	file := func(name string) Entry { return Entry{Path: name, Mode: 0o644} }
	link := func(name, to string) Entry { return Entry{Path: name, Mode: uint32(fs.ModeSymlink), Linkname: to} }
	for _, c := range []struct {
		name string
		list []Entry
		want string // empty: it is right
	}{
		{"none", nil, ""},
		{"a folder and what is in it", []Entry{dir("a"), file("a/b"), link("a/c", "/etc"), file("b")}, ""},
		{"out of it", []Entry{file("../b")}, "no folder"},
		{"out of it, later", []Entry{dir("a"), file("a/../../b")}, "no folder"},
		{"from the root", []Entry{file("/etc/passwd")}, "no folder"},
		{"the folder itself", []Entry{dir(".")}, "twice"},
		{"no name", []Entry{dir("")}, "no folder"},
		{"before its folder", []Entry{file("a/b"), dir("a")}, "no folder"},
		{"through a link", []Entry{link("a", "/etc"), file("a/passwd")}, "no folder"},
		{"in a file", []Entry{file("a"), file("a/b")}, "no folder"},
		{"twice", []Entry{link("a", "/etc"), dir("a"), file("a/passwd")}, "twice"},
		{"a device", []Entry{{Path: "a", Mode: uint32(fs.ModeDevice | 0o644)}}, "neither"},
		{"a size below zero", []Entry{{Path: "a", Mode: 0o644, Size: -1}}, "neither"},
	} {
		err := check(c.list)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v (want %q)", c.name, err, c.want)
		}
	}
}

package deploy

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// A version is a semantic version (semver.org, 2.0.0), as tags have it: with a v
// before it or without. The zero version is none.
type version struct {
	text        string
	numbers     [3]uint64
	preliminary string
}

var versionTag = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^v?(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})(?:-([0-9A-Za-z.-]+))?$`)
})

// versionIn returns the version that is the tag of an image reference.
func versionIn(ref string) version {
	name, _, _ := strings.Cut(ref, "@")
	i := strings.LastIndexByte(name, ':')
	if i <= strings.LastIndexByte(name, '/') {
		return version{}
	}
	m := versionTag().FindStringSubmatch(name[i+1:])
	if m == nil {
		return version{}
	}
	v := version{text: name[i+1:], preliminary: m[4]}
	for n := range v.numbers {
		v.numbers[n], _ = strconv.ParseUint(m[n+1], 10, 64) // at most 18 digits
	}
	return v
}

func (v version) String() string { return v.text }

// less reports whether both are versions, and v comes before w.
func (v version) less(w version) bool {
	if v.text == "" || w.text == "" {
		return false
	}
	for n := range v.numbers {
		if v.numbers[n] != w.numbers[n] {
			return v.numbers[n] < w.numbers[n]
		}
	}
	switch {
	case v.preliminary == w.preliminary:
		return false
	case v.preliminary == "", w.preliminary == "":
		return v.preliminary != "" // 1.0.0-rc.1 comes before 1.0.0
	}
	a, b := strings.Split(v.preliminary, "."), strings.Split(w.preliminary, ".")
	for n := range min(len(a), len(b)) {
		if c := comparePart(a[n], b[n]); c != 0 {
			return c < 0
		}
	}
	return len(a) < len(b)
}

// comparePart compares parts of preliminary versions: numbers by value, and before
// all that is none.
func comparePart(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}

package buildkit

import (
	"io/fs"
	"slices"
	"testing"
)

func TestFilter(t *testing.T) {
	ignores := []string{"Dockerfile.dockerignore", ".dockerignore"}
	tests := []struct {
		name             string
		spec             Spec
		ignore           []string
		include, exclude []string
	}{
		{"nothing said", Spec{}, nil, nil, append([]string{"**/.git", "**/.slipway"}, ignores...)},
		{
			"ignore file first, .git last",
			Spec{},
			[]string{"*.md", "!.git"},
			nil,
			append([]string{"*.md", "!.git", "**/.git", "**/.slipway"}, ignores...),
		},
		{
			".git by name",
			Spec{Include: []string{"./src/", " /.git/HEAD", "", "! src/x"}},
			nil,
			[]string{"src", ".git/HEAD", "!src/x"},
			append([]string{"**/.slipway"}, ignores...),
		},
		{
			"a pattern that BuildKit's walk gets wrong",
			Spec{Include: []string{"b/*/**", ".git"}},
			[]string{"!c/*/**"},
			[]string{"b/*/**/**", ".git"},
			append([]string{"!c/*/**/**", "**/.slipway"}, ignores...),
		},
		{"** does not name .git", Spec{Include: []string{"**", "!.git"}}, nil, []string{"**", "!.git"}, append([]string{"**/.git", "**/.slipway"}, ignores...)},
		{
			"ignore file of a Dockerfile with odd letters",
			Spec{Dockerfile: "a/[x]*/Dockerfile"},
			nil, nil,
			[]string{"**/.git", "**/.slipway", `a/\[x]\*/Dockerfile.dockerignore`, ".dockerignore"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			include, exclude := tt.spec.Filter(tt.ignore)
			if !slices.Equal(include, tt.include) {
				t.Errorf("include: got %q, want %q", include, tt.include)
			}
			if !slices.Equal(exclude, tt.exclude) {
				t.Errorf("exclude: got %q, want %q", exclude, tt.exclude)
			}
		})
	}
}

func TestNormalMode(t *testing.T) {
	for _, tt := range []struct{ got, want fs.FileMode }{
		{0o600, 0o644},
		{0o666, 0o644},
		{0o700, 0o755},
		{0o755 | fs.ModeSetuid, 0o755},
		{0o644 | 0o010, 0o644}, // as git: the owner's bit counts
		{fs.ModeDir | 0o700 | fs.ModeSticky, fs.ModeDir | 0o755},
		{fs.ModeSymlink | 0o755, fs.ModeSymlink | 0o777},
	} {
		if got := NormalMode(tt.got); got != tt.want {
			t.Errorf("NormalMode(%v): got %v, want %v", tt.got, got, tt.want)
		}
	}
}

func TestSent(t *testing.T) {
	for mode, want := range map[fs.FileMode]bool{
		0o644:                             true,
		fs.ModeDir | 0o755:                true,
		fs.ModeSymlink | 0o777:            true,
		fs.ModeNamedPipe:                  false,
		fs.ModeSocket:                     false,
		fs.ModeDevice:                     false,
		fs.ModeDevice | fs.ModeCharDevice: false,
		fs.ModeIrregular:                  false,
	} {
		if got := Sent(mode); got != want {
			t.Errorf("Sent(%v): got %v, want %v", mode, got, want)
		}
	}
}

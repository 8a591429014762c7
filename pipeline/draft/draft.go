package draft

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/pipeline"
)

// A Draft is what was found in a folder.
type Draft struct {
	Builds  []Build
	Deploys []Deploy
	Notes   []string // what was seen and left out, and why
}

// A Build is something to build.
type Build struct {
	ID         string
	From       string // the file that says so
	Context    string // folder
	Dockerfile string // within the context; empty means Dockerfile
	Target     string
	Args       []Arg
	Bases      []string // ids of builds that its Dockerfile builds on
	Image      string   // what others call its image; empty if nobody does
}

// An Arg is a build argument.
type Arg struct{ Name, Value string }

// A Deploy is a kustomization, or one for each environment.
type Deploy struct {
	ID           string
	Dir          string // with environments, the folder that holds those of each
	Environments []Environment
	Images       []string // repositories that its containers name
}

// An Environment is a folder beside others of its like.
type Environment struct{ Name, Namespace string }

const (
	maxEntries = 20000   // that are looked at
	maxBuilds  = 20      // more would be no small file
	maxText    = 1 << 20 // of a file that is read
	dockerDeep = 2       // folders above a Dockerfile
	deployDeep = 5       // folders above a kustomization
)

// Look finds out what is in fsys. A file that cannot be read or understood
// becomes a note.
func Look(fsys fs.FS) (*Draft, error) {
	l := &look{fsys: fsys, draft: new(Draft)}
	if err := l.walk(); err != nil {
		return nil, err
	}
	l.compose()
	l.skaffold()
	for _, file := range l.dockerfiles {
		l.dockerfile(file)
	}
	if n := len(l.draft.Builds); n > maxBuilds {
		l.note("%d more builds were found; only %d are written", n-maxBuilds, maxBuilds)
		l.draft.Builds = l.draft.Builds[:maxBuilds]
	}
	l.bases()
	l.deploys()
	return l.draft, nil
}

type look struct {
	fsys        fs.FS
	draft       *Draft
	dockerfiles []string
	overlays    []string // folders with a kustomization
}

func (l *look) note(format string, args ...any) {
	l.draft.Notes = append(l.draft.Notes, fmt.Sprintf(format, args...))
}

// walk finds Dockerfiles and kustomizations. Folders of tools are not entered.
func (l *look) walk() error {
	left := maxEntries
	return fs.WalkDir(l.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if left--; left < 0 {
			l.note("the folder has more than %d entries; the rest was not looked at", maxEntries)
			return fs.SkipAll
		}
		if err != nil {
			if name == "." {
				return err
			}
			l.note("%s: %v", name, err)
			return fs.SkipDir
		}
		base, deep := path.Base(name), strings.Count(name, "/")
		switch {
		case d.IsDir():
			if name != "." && (strings.HasPrefix(base, ".") || slices.Contains([]string{"node_modules", "vendor", "testdata"}, base) || deep >= deployDeep) {
				return fs.SkipDir
			}
		case !d.Type().IsRegular():
		case deep <= dockerDeep && (base == "Dockerfile" || strings.HasPrefix(base, "Dockerfile.") || strings.HasSuffix(base, ".Dockerfile")) && !strings.HasSuffix(base, ".dockerignore"):
			l.dockerfiles = append(l.dockerfiles, name)
		case slices.Contains(kustomizations, base):
			l.overlays = append(l.overlays, path.Dir(name))
		}
		return nil
	})
}

// read returns the text of a file that is not too large.
func (l *look) read(name string) ([]byte, error) {
	f, err := l.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if len(text) > maxText {
		return nil, errors.New("is too large")
	}
	return text, err
}

// exists reports whether name is there; a pattern counts if something fits.
func (l *look) exists(name string) bool {
	found, err := fs.Glob(l.fsys, name)
	return err == nil && len(found) > 0
}

// add adds a build unless it is there already, and gives it an id of its own.
func (l *look) add(b Build) {
	if b.Dockerfile == "Dockerfile" {
		b.Dockerfile = ""
	}
	for _, o := range l.draft.Builds {
		if o.Context == b.Context && o.Dockerfile == b.Dockerfile && o.Target == b.Target {
			return
		}
	}
	b.ID = l.free(b.ID)
	l.draft.Builds = append(l.draft.Builds, b)
}

// free makes an id of name that no stage has yet.
func (l *look) free(name string) string {
	id := ident(name)
	taken := func() bool {
		return slices.ContainsFunc(l.draft.Builds, func(b Build) bool { return b.ID == id }) ||
			slices.ContainsFunc(l.draft.Deploys, func(d Deploy) bool { return d.ID == id })
	}
	for n := 2; taken(); n++ {
		id = fmt.Sprintf("%s-%d", ident(name), n)
	}
	return id
}

var unfit = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9_]+`) })

// ident makes a stage's id of a name.
func ident(name string) string {
	id := strings.Trim(unfit().ReplaceAllString(strings.ToLower(name), "-"), "-_")
	id = strings.TrimRight(id[:min(len(id), 40)], "-_")
	if id == "" || id[0] >= '0' && id[0] <= '9' {
		id = strings.TrimRight("app-"+id, "-")
	}
	return id
}

// dockerfile adds the build of a Dockerfile that no other file has named.
func (l *look) dockerfile(file string) {
	dir, base := path.Dir(file), path.Base(file)
	for _, b := range l.draft.Builds {
		if path.Join(b.Context, path.Base(b.file())) == file || path.Join(b.Context, b.file()) == file {
			return
		}
	}
	id := path.Base(dir)
	if dir == "." {
		id = "app"
	}
	if variant := strings.TrimSuffix(strings.TrimPrefix(base, "Dockerfile."), ".Dockerfile"); base != "Dockerfile" {
		id = variant
	}
	b := Build{ID: id, From: file, Context: dir, Dockerfile: base}
	if dir != "." && !l.fits(file, dir) && l.fits(file, ".") {
		b.Context, b.Dockerfile = ".", file
	}
	l.add(b)
}

// file returns the path of the Dockerfile within the context.
func (b Build) file() string {
	if b.Dockerfile == "" {
		return "Dockerfile"
	}
	return b.Dockerfile
}

var (
	fromLine = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?im)^[ \t]*FROM[ \t]+(?:--platform=\S+[ \t]+)?(\S+)(?:[ \t]+AS[ \t]+(\S+))?`)
	})
	copyLine = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?im)^[ \t]*(?:COPY|ADD)[ \t]+((?:--\S+[ \t]+)*)([^\s\[<]\S*)[ \t]+\S`)
	})
)

// fits reports whether all that the Dockerfile copies first is in dir.
func (l *look) fits(file, dir string) bool {
	text, err := l.read(file)
	if err != nil {
		return true
	}
	for _, m := range copyLine().FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[1], "--from=") || strings.Contains(m[2], "$") || strings.Contains(m[2], "://") {
			continue
		}
		if src := strings.Trim(path.Clean(m[2]), "/"); src != "." && src != "" && !l.exists(path.Join(dir, src)) {
			return false
		}
	}
	return true
}

// bases finds builds that build on the image of another.
func (l *look) bases() {
	builds := l.draft.Builds
	for i := range builds {
		text, err := l.read(path.Join(builds[i].Context, builds[i].file()))
		if err != nil {
			continue
		}
		own := map[string]bool{}
		for _, m := range fromLine().FindAllStringSubmatch(string(text), -1) {
			for j := range builds {
				if name := m[1]; !own[name] && name == builds[j].ID && !l.uses(j, i) && !slices.Contains(builds[i].Bases, name) {
					builds[i].Bases = append(builds[i].Bases, name)
				}
			}
			own[m[2]] = true
		}
	}
}

// uses reports whether the build at i is built on the one at j, or is it.
func (l *look) uses(i, j int) bool {
	if i == j {
		return true
	}
	for _, base := range l.draft.Builds[i].Bases {
		k := slices.IndexFunc(l.draft.Builds, func(b Build) bool { return b.ID == base })
		if l.uses(k, j) {
			return true
		}
	}
	return false
}

// repository returns the name of an image without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return image
}

// Name makes a pipeline's name of that of a folder.
func Name(folder string) string {
	name := strings.ReplaceAll(ident(folder), "_", "-")
	return strings.Trim(name[:min(len(name), 40)], "-")
}

// images returns the image of which build each name in manifests stands for.
func (d *Draft) images(dep Deploy) map[string]string {
	found := map[string]string{}
	for _, name := range dep.Images {
		for _, b := range d.Builds {
			if name == b.Image || path.Base(name) == b.ID && found[name] == "" {
				found[name] = b.ID
			}
		}
	}
	return found
}

// registry returns where images go, judging by how they are called.
func (d *Draft) registry(name string) string {
	var calls []string
	for _, dep := range d.Deploys {
		calls = append(calls, pipeline.Keys(d.images(dep))...)
	}
	for _, b := range d.Builds {
		calls = append(calls, b.Image)
	}
	for _, c := range calls {
		host, _, ok := strings.Cut(c, "/")
		if ok && strings.ContainsAny(host, ".:") && plainPath().MatchString(c) {
			return path.Dir(c)
		}
	}
	return "localhost:5000/" + name
}

var plainPath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9.:-]+(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`) })

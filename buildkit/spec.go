package buildkit

import "io"

// A Spec says what to build.
type Spec struct {
	Context    string             // absolute path of the folder that is sent
	Git        *Git               // where Context is checked out from; nil for a folder that is there
	Include    []string           // patterns of what is sent and hashed, as in a .dockerignore; empty means all but .git
	Dockerfile string             // path within Context; empty means "Dockerfile"
	Inline     string             // text in place of a Dockerfile; empty means that the file counts
	Target     string             // stage of the Dockerfile; empty means the last
	Platforms  []string           // such as "linux/arm64"; empty means the builder's own
	Args       map[string]string  // build arguments
	Contexts   map[string]Context // named contexts: FROM and COPY --from may name them
	Secrets    map[string]string  // by id, for RUN --mount=type=secret; only the ids are part of the key
	SSH        map[string]string  // by id, for RUN --mount=type=ssh: the path of a key or of an agent's socket; empty means $SSH_AUTH_SOCK
	Bases      map[string]string  // image as written in FROM → digest it stands for; see Inputs.Bases
	Allow      []string           // what the Dockerfile may use besides: "network.host", "security.insecure", an image named by "# syntax="
	Run        Run
	Result     Result
	Cache      Cache
	Attest     Attest
}

// Run says how RUN runs.
type Run struct {
	Network string            // "none", "host", or empty for the builder's own
	Ulimits map[string]string // such as nofile → "1024:2048": soft limit, then the hard one
	NoCache bool              // nothing is taken from the builder's cache; no part of the key
}

// Result says what the image is besides its files.
type Result struct {
	Epoch       int64             // SOURCE_DATE_EPOCH of the image, in seconds since 1970
	Labels      map[string]string // of the image's config
	Annotations map[string]string // of its manifests, and of its index if it has one
	Compression Compression       // of its layers
}

// Compression of layers; the zero value is BuildKit's gzip.
type Compression struct {
	Type  string // "gzip", "zstd", "estargz", "uncompressed", or empty for gzip
	Level int    // of the compressor; zero means its own default
}

// Cache is where the steps of a build are kept beyond the builder. A cache that
// fails never fails a build.
type Cache struct {
	From, To []CacheEntry
}

// A CacheEntry is one cache, in BuildKit's words.
//
// See https://docs.docker.com/build/cache/backends/.
type CacheEntry struct {
	Type     string            // "registry", "local", "inline" or "gha"
	Attrs    map[string]string // such as ref, src, dest, mode, scope; paths are absolute
	Optional bool              // nobody asked for it: it is left out without a word where it cannot be had
}

// Inline reports whether the cache becomes a part of the image's config.
func (c Cache) Inline() bool {
	for _, to := range c.To {
		if to.Type == "inline" {
			return true
		}
	}
	return false
}

// Attest says which statements are made about the image. They lie beside it and
// change neither it nor its digest.
type Attest struct {
	Provenance string // "min", "max", or empty for none
	SBOM       string // image of the scanner; empty for none
}

// DockerfileName returns the path of the Dockerfile within the context.
func (s Spec) DockerfileName() string {
	if s.Dockerfile == "" || s.Inline != "" {
		return "Dockerfile"
	}
	return s.Dockerfile
}

// FileName returns how errors and warnings call the Dockerfile.
func (s Spec) FileName() string {
	if s.Inline != "" {
		return InlineName
	}
	return s.DockerfileName()
}

// InlineName stands for the name of a Dockerfile that is no file.
const InlineName = "dockerfile.inline"

// A Context is a named context: an image built earlier or named by digest, or a
// folder.
type Context struct {
	Key    string // the input key of the image or the folder, known while planning
	Image  Image  // zero while planning, and for a folder
	Folder string // absolute path; empty for an image
	Git    *Git   // where Folder is checked out from; nil for a folder that is there
}

// A Command is something to run inside an image, once, in the builder.
type Command struct {
	Image   Image
	Args    []string          // argv; empty means the image's entrypoint and cmd
	Dir     string            // working folder; empty means the image's
	User    string            // empty means the image's
	Env     map[string]string // added to the image's environment
	Network string            // "none", "host" or "private"; empty means none
	Secrets []string          // names in Env whose values are secret
	Files   map[string]string // secrets by id, each a file /run/secrets/<id>
	Source  *Source           // a folder that it sees; nil means none
	Take    []string          // absolute paths that are handed to Taken when it has ended, however it did

	// Taken is given a tar of each path of Take: of a file its one entry, of a
	// folder its own entry first, then what is in it. An error of it is one of the
	// command.
	Taken func(path string, archive io.Reader) error
}

// A Source is a folder of this machine, as a command sees it: read-only, filtered
// as a build's context is.
type Source struct {
	Folder  string   // absolute path
	Include []string // as in Spec
	At      string   // absolute path in the container
}

// Inputs are what a build depends on, as they stand now.
type Inputs struct {
	Key      string             // sha256 in hex over all that can change the image
	Files    int                // how many files of the context are sent
	Bytes    int64              // and how many bytes they have
	Bases    map[string]string  // image as written in FROM → digest it stands for now
	Base     string             // the one of Bases that the image is built on, in full: docker.io/library/alpine:3; empty if it is none of them
	BaseSum  string             // and its digest
	Context  string             // absolute path of the folder that is sent: of a git context where it was checked out
	Contexts map[string]Context // named contexts, with the keys of folders
}

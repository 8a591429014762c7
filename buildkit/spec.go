package buildkit

// A Spec says what to build.
type Spec struct {
	Context    string             // absolute path of the folder that is sent
	Include    []string           // patterns of what is sent and hashed, as in a .dockerignore; empty means all but .git
	Dockerfile string             // path within Context; empty means "Dockerfile"
	Target     string             // stage of the Dockerfile; empty means the last
	Platforms  []string           // such as "linux/arm64"; empty means the builder's own
	Args       map[string]string  // build arguments
	Contexts   map[string]Context // named contexts: FROM and COPY --from may name them
	Secrets    map[string]string  // by id, for RUN --mount=type=secret; only the ids are part of the key
	Bases      map[string]string  // image as written in FROM → digest it stands for; see Inputs.Bases
	Epoch      int64              // SOURCE_DATE_EPOCH of the image, in seconds since 1970
	Allow      []string           // what the Dockerfile may use besides: "network.host", "security.insecure", an image named by "# syntax="
}

// DockerfileName returns the path of the Dockerfile within the context.
func (s Spec) DockerfileName() string {
	if s.Dockerfile == "" {
		return "Dockerfile"
	}
	return s.Dockerfile
}

// A Context is a named context that is an image built earlier.
type Context struct {
	Key   string // the input key of the image, known while planning
	Image Image  // zero while planning
}

// A Command is something to run inside an image, once, in the builder.
type Command struct {
	Image   Image
	Args    []string          // argv; empty means the image's entrypoint and cmd
	Dir     string            // working folder; empty means the image's
	User    string            // empty means the image's
	Env     map[string]string // added to the image's environment
	Network string            // "none" or "host"; empty means none
	Secrets []string          // names in Env whose values are secret
}

// Inputs are what a build depends on, as they stand now.
type Inputs struct {
	Key   string            // sha256 in hex over all that can change the image
	Files int               // how many files of the context are sent
	Bytes int64             // and how many bytes they have
	Bases map[string]string // image as written in FROM → digest it stands for now
}

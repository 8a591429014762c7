package buildkit

import "time"

// A Progress is one observation of a running build, push or command. Fields
// that say nothing new are zero.
type Progress struct {
	Vertex    string    // digest of the vertex, or the digest of the blob that is pushed
	Name      string    // of the vertex, such as "[2/3] RUN make"
	Started   time.Time // when the vertex began
	Completed time.Time // when it ended
	Cached    bool      // the vertex was in the cache
	Error     string    // why the vertex failed
	Log       string    // output of the vertex, possibly many lines; not trusted
	Done      int64     // bytes so far
	Total     int64     // bytes in all; zero while unknown
	Warning   *Warning  // what the Dockerfile checks found
}

// A Warning is something a Dockerfile check does not like.
type Warning struct {
	Text string
	File string // as the Dockerfile is named in the Spec
	Line int    // counts from 1; zero while unknown
	URL  string // what the check is about
}

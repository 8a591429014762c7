package buildkit

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotFound reports that a registry has no such repository, tag or digest.
var ErrNotFound = errors.New("not found")

// A SolveError says that a build failed: the Dockerfile does not parse, a base
// does not exist, a RUN ended with an error.
type SolveError struct {
	File   string   // the Dockerfile, as named in the Spec; empty while unknown
	Line   int      // in File, from 1; zero while unknown
	Source string   // the line itself
	Vertex string   // name of the vertex that failed; empty while unknown
	Log    []string // last lines that the vertex wrote; not trusted
	Err    error
}

// Error says what failed, with the last words of what did. Whoever knows how the user calls the file says where.
func (e *SolveError) Error() string { return e.Err.Error() + last(e.Log) }

func (e *SolveError) Unwrap() error { return e.Err }

// An ExitError says that a command ran and ended with a code that is not zero.
type ExitError struct {
	Code int
	Log  []string // last lines that it wrote; not trusted
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("command ended with exit code %d", e.Code) + last(e.Log)
}

// lastWords is how many lines of a log an error repeats.
const lastWords = 5

// last returns the last lines of a log, to follow a message.
func last(log []string) string {
	text := ""
	for _, line := range log[max(0, len(log)-lastWords):] {
		text += "\n| " + line
	}
	return text
}

// A RegistryError says that a registry could not be reached or refused.
type RegistryError struct {
	Host string // such as "localhost:5000"
	Ref  string // what was asked for
	Err  error  // its answer, or what kept us from asking
}

func (e *RegistryError) Error() string {
	return fmt.Sprintf("registry %s: %s: %v", e.Host, e.Ref, e.Err)
}

func (e *RegistryError) Unwrap() error { return e.Err }

// A HeldError says that a tag may not be moved to another image.
type HeldError struct {
	Ref    string // with the tag
	Digest string // what it stands for
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is immutable, and stands for another image: %s (push under another tag)", e.Ref, Short(e.Digest))
}

// A GitError says that a git repository could not be read.
type GitError struct {
	URL string
	Err error // git's own words, or what kept us from asking it
}

func (e *GitError) Error() string { return "git repository " + e.URL + ": " + e.Err.Error() }

func (e *GitError) Unwrap() error { return e.Err }

// A HostError says that this machine cannot build, and what would let it.
type HostError struct {
	What string // what is missing
	Cure string // the sysctl, package or setting that mends it
	Err  error
}

func (e *HostError) Error() string {
	msg := "this machine cannot build: " + e.What
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	if e.Cure != "" {
		msg += " (" + e.Cure + ")"
	}
	return msg
}

func (e *HostError) Unwrap() error { return e.Err }

// A LockError says that another process uses the state folder.
type LockError struct {
	Dir   string
	PID   int       // zero while unknown
	Since time.Time // zero while unknown
}

func (e *LockError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("build state %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("build state %s is in use by process %d since %s", e.Dir, e.PID, e.Since.Format(time.TimeOnly))
}

// What a build may miss: a file at the Dockerfile's path, the folder of the
// context. Errors that wrap them say what was looked for, and where.
var (
	// ErrNoPath reports that a command did not leave what is to be taken.
	ErrNoPath = errors.New("the command left no such file or folder")

	ErrNoDockerfile = errors.New("no Dockerfile")
	ErrNoContext    = errors.New("no folder")
)

package inputs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/slipway-ci/slipway/buildkit"
)

// A dockerfile is a Dockerfile that parses.
type dockerfile struct {
	name   string // as the spec names it
	text   []byte
	escape rune
	args   []instructions.ArgCommand // those before the first FROM
	stages []instructions.Stage
}

// readDockerfile reads and parses the Dockerfile of a spec.
func readDockerfile(root *os.Root, spec buildkit.Spec) (*dockerfile, error) {
	d := &dockerfile{name: spec.FileName(), text: []byte(spec.Inline)}
	var err error
	if spec.Inline == "" {
		if d.text, err = readSmall(root, d.name); err != nil {
			return nil, dockerfileError(spec, err)
		}
	}
	result, err := parser.Parse(bytes.NewReader(d.text))
	if err != nil {
		return nil, d.fault(0, err)
	}
	d.escape = result.EscapeToken
	if d.stages, d.args, err = instructions.Parse(result.AST, nil); err != nil {
		return nil, d.fault(0, err)
	}
	if len(d.stages) == 0 {
		return nil, d.fault(1, errors.New("there is no FROM"))
	}
	return d, nil
}

// dockerfileError says why the Dockerfile cannot be read, and the cure.
func dockerfileError(spec buildkit.Spec, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && spec.Dockerfile == "":
		return fmt.Errorf("%w in %s (set dockerfile: to its path)", buildkit.ErrNoDockerfile, spec.Context)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w %s in %s (dockerfile: is a path within the context)", buildkit.ErrNoDockerfile, spec.Dockerfile, spec.Context)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s in %s cannot be read (make it readable): %w", spec.DockerfileName(), spec.Context, err)
	}
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err // what os.Root says of a path that leads out of it
	}
	return fmt.Errorf("%w at %s in %s (dockerfile: is a file within the context): %w", buildkit.ErrNoDockerfile, spec.DockerfileName(), spec.Context, err)
}

// fault puts an error at a line of the Dockerfile. Line zero stands for the one
// that BuildKit's parser gives.
func (d *dockerfile) fault(line int, err error) *buildkit.SolveError {
	if at := (*parser.LocationError)(nil); errors.As(err, &at) {
		err = at.Unwrap() // without the prefix that repeats the line
		for _, r := range at.Locations {
			line = cmp.Or(line, firstLine(r))
		}
	}
	line = max(line, 1)
	e := &buildkit.SolveError{File: d.name, Line: line, Err: err}
	if lines := bytes.Split(d.text, []byte("\n")); line <= len(lines) {
		e.Source = string(bytes.TrimSuffix(lines[line-1], []byte("\r")))
	}
	return e
}

// firstLine returns the line where a location begins, or zero for none.
func firstLine(location []parser.Range) int {
	if len(location) == 0 {
		return 0
	}
	return location[0].Start.Line
}

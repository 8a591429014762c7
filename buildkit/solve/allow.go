package solve

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/util/entitlements"

	"github.com/slipway-ci/slipway/buildkit"
)

// A syntax is the frontend that a build asks for.
type syntax struct {
	ref  string // empty means the one built in
	line int    // in the Dockerfile; zero when an argument asks
}

func syntaxOf(spec buildkit.Spec, dockerfile []byte) syntax {
	if arg := strings.Fields(spec.Args["BUILDKIT_SYNTAX"]); len(arg) > 0 {
		return syntax{ref: arg[0]}
	}
	ref, _, at, ok := parser.DetectSyntax(dockerfile)
	if !ok {
		return syntax{}
	}
	s := syntax{ref: ref}
	if len(at) > 0 {
		s.line = at[0].Start.Line
	}
	return s
}

// isBuiltin reports whether a frontend is a stable release of Docker's own:
// what every buildkitd has built in, so nothing needs to be pulled for it.
func isBuiltin(ref string) bool {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil || named.Name() != "docker.io/docker/dockerfile" {
		return false
	}
	tag := "latest"
	if t, ok := named.(reference.Tagged); ok {
		tag = t.Tag()
	}
	return tag == "latest" || tag == "1" || strings.HasPrefix(tag, "1.") && !strings.Contains(tag, "-")
}

// checkAllowed refuses what the Dockerfile may use only when the pipeline says
// so, and shows the line.
func checkAllowed(spec buildkit.Spec, dockerfile []byte) error {
	if need := entitlements.EntitlementNetworkHost.String(); spec.Run.Network == "host" && !slices.Contains(spec.Allow, need) {
		return refused(spec, dockerfile, 0, "network: host needs %s (add it to allow: to let it)", need)
	}
	s := syntaxOf(spec, dockerfile)
	if s.ref != "" && !isBuiltin(s.ref) && !slices.Contains(spec.Allow, s.ref) {
		return refused(spec, dockerfile, s.line, "frontend %s would run as a program that decides what is built (add it to allow: to let it)", s.ref)
	}
	parsed, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return nil // the frontend says it better, with the line
	}
	for _, node := range parsed.AST.Children {
		if !strings.EqualFold(node.Value, "run") {
			continue
		}
		for _, flag := range node.Flags {
			need := entitlementOf(flag)
			if need != "" && !slices.Contains(spec.Allow, need) {
				return refused(spec, dockerfile, node.StartLine, "%s needs %s (add it to allow: to let it)", flag, need)
			}
		}
	}
	return nil
}

// entitlementOf returns what a flag of RUN needs, empty for nothing.
func entitlementOf(flag string) string {
	switch flag {
	case "--network=host":
		return entitlements.EntitlementNetworkHost.String()
	case "--security=insecure":
		return entitlements.EntitlementSecurityInsecure.String()
	}
	return ""
}

func refused(spec buildkit.Spec, dockerfile []byte, line int, format string, args ...any) error {
	return &buildkit.SolveError{
		File:   spec.FileName(),
		Line:   line,
		Source: sourceLine(dockerfile, line),
		Err:    fmt.Errorf(format, args...),
	}
}

// sourceLine returns a line of a file, counted from 1, or nothing.
func sourceLine(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	return strings.TrimRight(lines[line-1], "\r")
}

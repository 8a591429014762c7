package inputs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strconv"

	"github.com/slipway-ci/slipway/buildkit"
)

// output is raised when the same inputs would give another image than the last
// release of slipway gave: another compressor, other modes, another exporter.
const output = 2

// frontend is the module whose Dockerfile frontend and exporter make the image.
// A test compares it with go.mod, so that an upgrade changes every key.
const frontend = "github.com/moby/buildkit v0.33.1"

// key returns the sha256 in hex over all that can change an image. Fields are
// tagged and carry their lengths, so no two specs have the same encoding.
func key(spec buildkit.Spec, dockerfile []byte, platforms []string, tree [32]byte) string {
	e := newEncoder("slipway inputs")
	e.field("context", string(tree[:]))
	for _, f := range fields(spec, dockerfile, platforms) {
		e.field(f.name, f.values...)
	}
	sum := e.sum()
	return hex.EncodeToString(sum[:])
}

// partsOf returns all parts but the files of the context.
func partsOf(spec buildkit.Spec, dockerfile []byte, platforms []string) buildkit.Parts {
	parts := buildkit.Parts{}
	for _, f := range fields(spec, dockerfile, platforms) {
		if len(f.values) == 0 {
			continue
		}
		e := newEncoder("slipway part")
		e.field(f.name, f.values...)
		sum := e.sum()
		parts[f.name] = short(sum[:])
	}
	return parts
}

// short returns as much of a digest as tells two states of one thing apart.
func short(sum []byte) string { return hex.EncodeToString(sum[:8]) }

// A part is one input of a build that is not a file of its context, under the
// name that people know it by.
type part struct {
	name   string
	values []string
}

// fields returns all that can change an image, but for the files of the context,
// in an order that depends on nothing. What says how it is built, and not what
// comes of it, is not among them: caches, noCache, values of secrets.
func fields(spec buildkit.Spec, dockerfile []byte, platforms []string) []part {
	r := spec.Result
	all := []part{
		{"version of slipway", []string{strconv.Itoa(output), frontend}},
		{"Dockerfile", []string{string(dockerfile)}},
		{"target", filled(spec.Target)},
		{"platforms", platforms},
		{"epoch", []string{strconv.FormatInt(r.Epoch, 10)}},
		{"network", filled(spec.Run.Network)},
		{"provenance", filled(spec.Attest.Provenance)},
		{"sbom", filled(spec.Attest.SBOM)},
	}
	if c := r.Compression; c != (buildkit.Compression{}) {
		all = append(all, part{"compression", []string{c.Type, strconv.Itoa(c.Level)}})
	}
	if spec.Cache.Inline() {
		all = append(all, part{"inline cache", []string{"yes"}})
	}
	each := func(what string, m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			all = append(all, part{what + " " + k, []string{m[k]}})
		}
	}
	ids := func(what string, m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			all = append(all, part{what + " " + k, []string{k}})
		}
	}
	ids("secret", spec.Secrets)
	ids("ssh", spec.SSH)
	each("arg", spec.Args)
	each("base", spec.Bases)
	each("label", r.Labels)
	each("annotation", r.Annotations)
	each("ulimit", spec.Run.Ulimits)
	for _, name := range slices.Sorted(maps.Keys(spec.Contexts)) {
		p := part{"context " + name, nil}
		switch c := spec.Contexts[name]; {
		case c.Folder != "":
			p.values = []string{"folder", c.Key}
		case c.Key != "":
			p.values = []string{"key", c.Key}
		default:
			p.values = []string{"digest", c.Image.Digest}
		}
		all = append(all, p)
	}
	return all
}

// filled returns text as the values of a part that may be left out.
func filled(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// An encoder hashes a list of fields, each a tag and some text.
type encoder struct {
	h   hash.Hash
	buf []byte
}

func newEncoder(format string) *encoder {
	e := &encoder{h: sha256.New()}
	e.field(format)
	return e
}

func (e *encoder) field(tag string, values ...string) {
	e.buf = append(binary.AppendUvarint(e.buf[:0], uint64(len(tag))), tag...)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(values)))
	for _, v := range values {
		e.buf = append(binary.AppendUvarint(e.buf, uint64(len(v))), v...)
	}
	e.h.Write(e.buf) // a hash takes everything
}

func (e *encoder) sum() (sum [32]byte) {
	e.h.Sum(sum[:0])
	return sum
}

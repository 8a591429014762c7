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
const output = 1

// frontend is the module whose Dockerfile frontend and exporter make the image.
// A test compares it with go.mod, so that an upgrade changes every key.
const frontend = "github.com/moby/buildkit v0.33.1"

// key returns the sha256 in hex over all that can change an image. Fields are
// tagged and carry their lengths, so no two specs have the same encoding.
func key(spec buildkit.Spec, dockerfile []byte, platforms []string, bases map[string]string, tree [32]byte) string {
	e := newEncoder("slipway inputs")
	e.field("output", strconv.Itoa(output), frontend)
	e.field("dockerfile", string(dockerfile))
	e.field("context", string(tree[:]))
	e.field("target", spec.Target)
	e.field("platforms", platforms...)
	e.field("epoch", strconv.FormatInt(spec.Epoch, 10))
	e.field("secrets", slices.Sorted(maps.Keys(spec.Secrets))...)
	e.pairs("args", spec.Args)
	e.pairs("bases", bases)
	for _, name := range slices.Sorted(maps.Keys(spec.Contexts)) {
		c := spec.Contexts[name]
		if c.Key != "" {
			e.field("named context", name, "key", c.Key)
		} else {
			e.field("named context", name, "digest", c.Image.Digest)
		}
	}
	sum := e.sum()
	return hex.EncodeToString(sum[:])
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

func (e *encoder) pairs(tag string, m map[string]string) {
	values := make([]string, 0, 2*len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		values = append(values, k, m[k])
	}
	e.field(tag, values...)
}

func (e *encoder) sum() (sum [32]byte) {
	e.h.Sum(sum[:0])
	return sum
}

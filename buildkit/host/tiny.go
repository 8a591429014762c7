package host

import (
	"bytes"
	"encoding/binary"
)

// Program returns a static Linux program of some hundred bytes that ends at once
// with code 0, for a trial build; nil for an architecture that it does not know.
// It stands in the place of /bin/true, which not every machine has as a static
// file, and no pod of a bare image has at all.
//
// See https://refspecs.linuxfoundation.org/elf/elf.pdf.
func Program(arch string) []byte {
	var machine uint16
	var code []byte
	switch arch {
	case "amd64":
		machine = 62
		code = []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05} // mov eax, 60 (exit); xor edi, edi; syscall
	case "arm64":
		machine = 183
		code = []byte{0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4} // mov x0, 0; mov x8, 93 (exit); svc 0
	default:
		return nil
	}
	const base, head, segment = 0x400000, 64, 56
	size := uint64(head + segment + len(code))
	var out bytes.Buffer
	out.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 15: 0}) // 64 bits, little endian
	for _, v := range []any{
		uint16(2), machine, uint32(1), // executable, for the machine
		uint64(base + head + segment), uint64(head), uint64(0), // entry, program headers, no sections
		uint32(0), uint16(head), uint16(segment), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), // load it; read and execute
		uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000),
	} {
		_ = binary.Write(&out, binary.LittleEndian, v) // a Buffer takes all
	}
	out.Write(code)
	return out.Bytes()
}

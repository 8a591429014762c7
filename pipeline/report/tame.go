package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tame makes text that is not trusted fit for one line of a terminal or a CI
// log: control characters, escape sequences and marks that turn the direction
// of writing are taken out, ends of lines become spaces, and what is not UTF-8
// becomes U+FFFD. All other text, tabs too, is returned as it is.
func Tame(s string) string {
	i := plain(s, "\t")
	if i == len(s) { // most text is nothing else
		return s
	}
	tame := strings.IndexFunc(s[i:], wild)
	if tame < 0 {
		return s
	}
	i += tame
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == 0x1b || r >= 0x90 && r <= 0x9f:
			n = escape(s[i:], r, n)
		case r == '\n', r == '\r' && i+1 < len(s) && s[i+1] != '\n':
			b.WriteByte(' ')
		case !wild(r) || r == unicode.ReplacementChar:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// tameLines tames each line of a text.
func tameLines(s string) string {
	if plain(s, "\t\n") == len(s) {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Tame(line)
	}
	return strings.Join(lines, "\n")
}

// plain returns where s has the first byte that is not printable ASCII, nor in also.
// Logs are long, so it looks at eight bytes at a time.
func plain(s, also string) int {
	const high, each = 0x8080808080808080, 0x0101010101010101
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 | uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		// Of ASCII, adding 0x60 sets the highest bit for a space and above, 1 for 0x7f.
		if x&high|(x+each)&high == 0 && (x+0x60*each)&high == high {
			continue
		}
		if at := plainByte(w, also); at < 8 {
			return i + at
		}
	}
	return i + plainByte(s[i:], also)
}

func plainByte(s, also string) int {
	for i := range len(s) {
		if (s[i] < ' ' || s[i] >= 0x7f) && strings.IndexByte(also, s[i]) < 0 {
			return i
		}
	}
	return len(s)
}

// wild reports whether Tame may have to change r.
func wild(r rune) bool {
	return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029
}

// escape returns the length of the control sequence at the start of s, which
// begins with the rune r of n bytes, as ECMA-48 has them: CSI ends with a byte of
// @ to ~, and strings (OSC, DCS, …) with BEL, ST or CAN; one that does not end is
// as long as s. Introducers come as ESC and a letter, or as one character of C1.
func escape(s string, r rune, n int) int {
	if r == 0x1b {
		if len(s) < 2 {
			return 1
		}
		if r = rune(s[1]) + 0x40; s[1] < '@' || s[1] > '_' {
			i := 1 // such as ESC ( B, or an escape before something else
			for i < len(s) && s[i] >= ' ' && s[i] <= '/' {
				i++
			}
			if i < len(s) && s[i] >= '0' && s[i] <= '~' {
				i++
			}
			return i
		}
		n = 2
	}
	switch r {
	case 0x9b:
		for i := n; i < len(s); i++ {
			if s[i] >= '@' && s[i] <= '~' {
				return i + 1
			}
			if s[i] < ' ' || s[i] >= 0x7f { // not part of a sequence: it is broken off
				return i
			}
		}
		return len(s)
	case 0x90, 0x98, 0x9d, 0x9e, 0x9f:
		for i := n; i < len(s); i++ {
			switch {
			case s[i] == 7 || s[i] == 0x18:
				return i + 1
			case s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\':
				return i + 2
			case s[i] == 0xc2 && i+1 < len(s) && s[i+1] == 0x9c:
				return i + 2
			}
		}
		return len(s)
	}
	return n
}

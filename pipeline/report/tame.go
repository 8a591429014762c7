package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tame makes text that is not trusted fit for one line of a terminal or a CI
// log: control characters, escape sequences and marks that turn the direction
// of writing are taken out, tabs and line ends become spaces.
func Tame(s string) string {
	if strings.IndexFunc(s, wild) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == 0x1b {
			i += escape(s[i:])
			continue
		}
		next := strings.IndexFunc(s[i:], wild)
		switch {
		case next < 0:
			b.WriteString(s[i:])
			return b.String()
		case next > 0:
			b.WriteString(s[i : i+next])
			i += next
			continue
		case s[i] == '\t':
			b.WriteString("    ")
		case s[i] == '\n':
			b.WriteByte(' ')
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		i += n
	}
	return b.String()
}

func wild(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029
}

// escape returns the length of the escape sequence at the start of s, as ECMA-48
// has them: CSI ends with a byte of @ to ~, strings (OSC, DCS, …) end with BEL or ST.
func escape(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= '@' && s[i] <= '~' {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == 7 {
				return i + 1
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	}
	return 2
}

package report

import (
	"slices"
	"strings"
)

// A masker hides words in text. It reads the text once, however many words there
// are, and of most of it each third byte: a log may have gigabytes, and each secret is
// dozens of words. (S. Wu and U. Manber, A Fast Algorithm for Multi-Pattern Searching,
// 1994, with blocks of two bytes.)
type masker struct {
	pairs   *[1 << 16]uint8   // where two bytes stand in the head of a word at the latest, from 1; else 0. Nil until there is a word
	words   map[head][]string // by how they begin, the longest first
	begins  map[string]bool   // what is shorter than a head and begins a word
	longest int               // bytes of the longest word; zero means that there is none
}

// A head is how a word begins.
type head [Shortest]byte

// add takes a word of at least Shortest bytes.
func (m *masker) add(word string) {
	h := head([]byte(word[:Shortest]))
	at, known := slices.BinarySearchFunc(m.words[h], word, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	if known {
		return
	}
	if m.pairs == nil {
		m.pairs = new([1 << 16]uint8)
	}
	m.words[h] = slices.Insert(m.words[h], at, word)
	for i := range Shortest - 1 {
		p := pair(word[i], word[i+1])
		m.pairs[p] = max(m.pairs[p], uint8(i)+1)
	}
	for n := 1; n < Shortest; n++ {
		m.begins[word[:n]] = true
	}
	m.longest = max(m.longest, len(word))
}

// A span is a part of a text.
type span struct{ from, to int }

// find returns where words stand in text, in order; those that touch or overlap
// are one.
func (m *masker) find(text string) []span {
	if m.longest == 0 {
		return nil
	}
	var found []span
	pairs := m.pairs
	const last = Shortest - 1 // where the last pair of a head stands, from 1
	for i := 0; i+Shortest <= len(text); i++ {
		switch at := pairs[pair(text[i+Shortest-2], text[i+Shortest-1])]; at {
		case last:
		case 0: // nearly always; a step that is not computed is taken sooner
			i += last - 1
			continue
		default:
			i += last - 1 - int(at)
			continue
		}
		for _, w := range m.words[head([]byte(text[i:i+Shortest]))] {
			if !strings.HasPrefix(text[i:], w) {
				continue
			}
			if n := len(found); n > 0 && i <= found[n-1].to {
				found[n-1].to = max(found[n-1].to, i+len(w))
			} else {
				found = append(found, span{i, i + len(w)})
			}
			break
		}
	}
	return found
}

func pair(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) }

// mask returns text with *** where words stood.
func (m *masker) mask(text string) string {
	spans := m.find(text)
	if len(spans) == 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	at := 0
	for _, s := range spans {
		b.WriteString(text[at:s.from])
		b.WriteString(hidden)
		at = s.to
	}
	b.WriteString(text[at:])
	return b.String()
}

// begun returns how many bytes at the end of text may be the beginning of a
// word.
func (m *masker) begun(text string) int {
	for i := max(0, len(text)-m.longest+1); i < len(text); i++ {
		rest := text[i:]
		if len(rest) < Shortest {
			if m.begins[rest] {
				return len(rest)
			}
			continue
		}
		for _, w := range m.words[head([]byte(rest[:Shortest]))] {
			if len(w) > len(rest) && strings.HasPrefix(w, rest) {
				return len(rest)
			}
		}
	}
	return 0
}

package page

import "testing"

// What is said to be tame stays as it is, whatever stands in it.
func TestIsTame(t *testing.T) {
	parts := []string{"a", "\\", "n", "u001b", "\n", "\t", "\r", "\x1b[1m", "\u009b", "\u202e", "\u2028", "é", "\xff", "\x7f", "\x00", "\"", "<", "{}"}
	tame := 0
	for n := range 4000 {
		s := ""
		for k := n; k > 0; k /= len(parts) {
			s += parts[k%len(parts)]
		}
		text, err := (&Report{Pipeline: s}).encoded()
		if err != nil {
			t.Fatal(err)
		}
		if isTame(text) {
			tame++
			if tamed(s) != s {
				t.Errorf("%q is said to be tame", s)
			}
		}
	}
	if tame < 100 {
		t.Errorf("%d texts of 4000 are tame: nothing is gained", tame)
	}
}

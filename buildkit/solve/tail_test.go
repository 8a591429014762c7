package solve

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestTail writes the same lines in chunks of many sizes; the last of them stay.
func TestTail(t *testing.T) {
	var text strings.Builder
	var want []string
	for n := range 100 {
		fmt.Fprintf(&text, "line %d\n", n)
		want = append(want, fmt.Sprint("line ", n))
	}
	text.WriteString("not ended")
	want = append(want, "not ended")[101-tailLines:]
	for size := 1; size < 1000; size += 7 {
		all := []byte(text.String())
		var got tail
		for chunk := range slices.Chunk(all, size) {
			got.write(chunk)
		}
		if !slices.Equal(got.last(), want) {
			t.Fatalf("in chunks of %d: got %q, want %q", size, got.last(), want)
		}
	}
}

package pipeline

import (
	"strings"
	"testing"
)

func TestCellValue(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "cart": true, "linux/amd64": true, "v1.2+x=y:z@w_-": true, "größe": true, "注文": true, "½": true,
		strings.Repeat("ä", 100): true, strings.Repeat("ä", 101): false,
		"a b": false, "a,b": false, "a[b]": false, "a\n": false, "a\xff": false, "a\u200b": false, "$x": false,
	} {
		if got := cellValue(text); got != want {
			t.Errorf("cellValue(%q) = %v, want %v", text, got, want)
		}
	}
}

package buildkit

import (
	"regexp"
	"sync"
)

// query finds what follows the path of an address.
var query = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(https?://[^\s"?]+)\?[^\s"]+`) })

// Unsigned returns a text without the queries of addresses in it. Storage signs
// those: whoever reads one may read, or write, what lies there.
func Unsigned(text string) string { return query().ReplaceAllString(text, "$1") }

package pipeline

import (
	"regexp"
	"strings"
	"sync"
)

var unfit = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9]+`) })

// Slug makes of a branch name what may stand in a tag or a DNS label: lower-case
// letters, digits and single dashes, at most 63 of them.
func Slug(s string) string {
	s = strings.Trim(unfit().ReplaceAllString(strings.ToLower(s), "-"), "-")
	return strings.TrimRight(s[:min(len(s), 63)], "-")
}

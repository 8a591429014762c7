package stages

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// wrong is an error about a field of a body.
func wrong(field, text string) error {
	return &pipeline.FieldError{Field: field, Code: "bad-value", Err: errors.New(text)}
}

// at is the path of an element of a list.
func at(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// seconds reads seconds since 1970; nothing is zero.
func seconds(text string) (int64, bool) {
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

// git returns the facts of the commit, or nil where there are none.
func git(sc pipeline.Scope) (map[string]any, error) {
	fact := sc.Facts["git"]
	if lazy, ok := fact.(func() any); ok {
		fact = lazy()
	}
	switch f := fact.(type) {
	case map[string]any:
		return f, nil
	case error:
		return nil, f
	}
	return nil, errors.New("nothing is known of a commit here")
}

// commitTime returns when the commit was made, in seconds since 1970.
func commitTime(sc pipeline.Scope) (int64, error) {
	facts, err := git(sc)
	if err != nil {
		return 0, err
	}
	when, ok := facts["epoch"].(int)
	if !ok {
		return 0, errors.New("the time of the commit is not known")
	}
	return int64(when), nil
}

// honest returns the tag, with "-dirty" after it if it names the commit while the
// tree has changes that no commit holds.
func honest(sc pipeline.Scope, tag string) string {
	const dirty = "-dirty"
	if tag == "" || strings.HasSuffix(tag, dirty) {
		return tag
	}
	facts, err := git(sc)
	if err != nil || facts["dirty"] != true {
		return tag
	}
	for _, name := range []string{"sha", "short", "tag"} {
		if text, _ := facts[name].(string); text != "" && strings.Contains(tag, text) {
			return tag + dirty
		}
	}
	return tag
}

package deploy

import (
	"regexp"
	"sync"
)

// hashed is how kustomize ends the name of what it generates from its content:
// ten hexadecimal digits in an alphabet that spells no words.
var hashed = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`-[2456789bcdfghkmt]{10}$`) })

// Generated reports whether o is a ConfigMap or Secret that is named after its
// content. Each release has its own, and what still runs from an earlier
// release needs that one.
func Generated(o Object) bool {
	return o.Group() == "" && (o.Kind() == "ConfigMap" || o.Kind() == "Secret") && hashed().MatchString(o.Name())
}

// Names reports whether any text in v is exactly name. Of a pod's template it
// says whether pods may need the ConfigMap or Secret of that name: where it
// errs, it says yes.
func Names(v any, name string) bool {
	switch v := v.(type) {
	case string:
		return v == name
	case map[string]any:
		for _, e := range v {
			if Names(e, name) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if Names(e, name) {
				return true
			}
		}
	}
	return false
}

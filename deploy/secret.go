package deploy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// NewSecret returns a Secret whose name ends in a hash of its content, the same
// that kustomize gives: other content is another object, so pods that use it
// are replaced, and those of before keep theirs.
func NewSecret(name, kind string, data map[string]string) Object {
	if kind == "" {
		kind = "Opaque"
	}
	encoded := make(map[string]any, len(data))
	for key, value := range data {
		encoded[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	text, err := json.Marshal(map[string]any{"kind": "Secret", "type": kind, "name": "", "data": encoded}) // kustomize looks the name up in vain
	if err != nil {
		panic(err) // it holds only text
	}
	return Object{Body: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": kind,
		"metadata": map[string]any{"name": name + "-" + hash(text)}, "data": encoded,
	}}
}

// hash returns ten letters and digits of which no words are made, as kustomize does.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return strings.NewReplacer("0", "g", "1", "h", "3", "k", "a", "m", "e", "t").Replace(hex.EncodeToString(sum[:])[:10])
}

// RenameSecret makes all that refers to the Secret of one name refer to
// another: variables, volumes, pull secrets, certificates of an Ingress, and
// fields called secretName of any kind. It returns how many did. Objects that
// change are copied; objs itself is updated in place.
func RenameSecret(objs []Object, from, to string) (used int) {
	for i := range objs {
		body, _ := clone(objs[i].Body).(map[string]any)
		if n := rename(body, "", from, to); n > 0 {
			objs[i].Body = body
			used += n
		}
	}
	return used
}

// rename changes references below v, which stands under a key.
func rename(v any, key, from, to string) (used int) {
	switch v := v.(type) {
	case map[string]any:
		refers := slices.Contains([]string{"secretRef", "secretKeyRef", "secret", "imagePullSecrets"}, key)
		for name, value := range v {
			if value == from && (name == "secretName" || refers && name == "name") {
				v[name] = to
				used++
				continue
			}
			used += rename(value, name, from, to)
		}
	case []any:
		for _, item := range v {
			used += rename(item, key, from, to)
		}
	}
	return used
}

// Mask returns a copy of objs in which Secrets show no value.
func Mask(objs []Object) []Object {
	masked := slices.Clone(objs)
	for i, o := range masked {
		if o.Kind() != "Secret" || o.Group() != "" {
			continue
		}
		body, _ := clone(o.Body).(map[string]any)
		for _, field := range []string{"data", "stringData"} {
			values, _ := body[field].(map[string]any)
			for key := range values {
				values[key] = "***"
			}
		}
		masked[i].Body = body
	}
	return masked
}

// An UnusedSecretError says that nothing refers to a Secret that was to be made.
type UnusedSecretError struct{ Name string }

func (e *UnusedSecretError) Error() string {
	return fmt.Sprintf("nothing in the manifests refers to a Secret called %s (use it in a secretKeyRef, a volume or imagePullSecrets, by this name)", e.Name)
}

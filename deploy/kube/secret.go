package kube

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
)

// onlyTexts reports a value that is no text in what holds only texts. The
// server would say so too, but show the value, which may be a secret.
func onlyTexts(body map[string]any, fields ...string) error {
	for _, field := range fields {
		values, _ := body[field].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			switch values[key].(type) {
			case string, nil:
			default:
				return fmt.Errorf("%s.%s is no text (put it in quotes)", field, key)
			}
		}
	}
	return nil
}

// encodeStringData moves a Secret's stringData into data, where the server
// keeps it: stringData is never read back, so it could not be compared.
func encodeStringData(body map[string]any) {
	texts, ok := body["stringData"].(map[string]any)
	if !ok {
		return
	}
	data, _ := body["data"].(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	for key, value := range texts {
		text, _ := value.(string)
		data[key] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	body["data"] = data
	delete(body, "stringData")
}

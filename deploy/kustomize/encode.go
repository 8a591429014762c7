package kustomize

import (
	"bytes"
	"encoding/json"
	"strconv"

	printed "go.yaml.in/yaml/v2" // what sigs.k8s.io/yaml writes with
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
)

// Encode writes objects as YAML documents. For what [Renderer.Render] returned
// and nobody changed, these are the bytes that `kustomize build` prints.
func Encode(objs []deploy.Object) ([]byte, error) {
	var out bytes.Buffer
	for n, o := range objs {
		doc, err := encode(o.Body)
		if err != nil {
			return nil, &deploy.ObjectError{Object: o, Err: err}
		}
		if n > 0 {
			out.WriteString("---\n")
		}
		out.Write(doc)
	}
	return out.Bytes(), nil
}

func encode(body map[string]any) ([]byte, error) {
	if plainly(body) {
		return printed.Marshal(body)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
}

// Decode reads what [Encode] wrote.
func Decode(text []byte) ([]deploy.Object, error) {
	docs, err := parse(text)
	if err != nil {
		return nil, err
	}
	var objs []deploy.Object
	for _, doc := range docs {
		var body map[string]any
		if err := doc.Decode(&body); err != nil {
			return nil, err
		}
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		if body, err = decode(text); err != nil {
			return nil, err
		}
		objs = append(objs, deploy.Object{Body: body})
	}
	return objs, nil
}

// decode reads a JSON object; integers become int64, all else is as encoding/json has it.
func decode(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var body map[string]any
	if err := decoder.Decode(&body); err != nil {
		return nil, err
	}
	integers(body)
	return body, nil
}

// integers replaces the numbers below v, which is a map or a slice, or none of our business.
func integers(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			if n, ok := e.(json.Number); ok {
				v[key] = numeric(n)
			}
			integers(e)
		}
	case []any:
		for i, e := range v {
			if n, ok := e.(json.Number); ok {
				v[i] = numeric(n)
			}
			integers(e)
		}
	}
}

func numeric(n json.Number) any {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	return f
}

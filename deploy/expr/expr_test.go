package expr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy/expr"
)

func TestHolds(t *testing.T) {
	object := map[string]any{
		"spec":   map[string]any{"size": int64(3), "name": "a-12"},
		"status": map[string]any{"phase": "Active", "size": int64(3), "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
	}
	for text, want := range map[string]string{
		`self.status.phase == "Active"`:                                              "true",
		`self.status.conditions.exists(c, c.type == "Ready" && c.status == "True")`:  "true",
		`self.status.conditions.exists(c, c.type == "Ready" && c.status == "False")`: "false",
		`self.status.size >= self.spec.size`:                                         "true",
		`has(self.status.address)`:                                                   "false",
		`self.status.?address.orValue("none") == "none"`:                             "true",
		`self.spec.name.find("[0-9]+") == "12"`:                                      "true",
		`self.status.address == "here"`:                                              "no such key: address",
		`self.status.phase`:                                                          "its value is string, not a bool",
		`"Active"`:                                                                   "it is string, not a bool",
		`self.status.`:                                                               "column 13: Syntax error",
		`size(self.spec.name.split("")) == quantity("4")`:                            "undeclared reference to 'quantity'",
	} {
		c, err := expr.Compile(text)
		got := ""
		if err == nil {
			var holds bool
			holds, err = c.Holds(object)
			got = fmt.Sprint(holds)
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A mutation replaces old, which must be in the file once, with now. Some of the tests that match must fail.
type mutation struct {
	name, file, old, now, tests string
}

const (
	rulesFile = "deploy/rollout/rules.go"
	judgeFile = "deploy/rollout/judge.go"
	proofFile = "deploy/rollout/proof.go"
)

// guards are those that no table names.
func guards() []mutation {
	return []mutation{
		{"proof", proofFile, "return p.strayed == nil && p.wrong == nil && p.blank == nil && len(p.open) == 0", "return true", scenario("wrong digest")},
		{"proof: another digest", proofFile, "case !a.same:", "case false:", scenario("wrong digest")},
		{"proof: no digest", proofFile, "if status == nil || digestOf(status.ImageID) == \"\" {", "if status == nil || digestOf(status.ImageID) == \"\" {\n\t\treturn\n\t}\n\tif false {", scenario("unproven")},
		{"wait: all of them", judgeFile, "len(c.ready()) == c.want &&", "", scenario("crash loop: new pods")},
		{"wait: old ones are gone", judgeFile, "if isReady(pod) {\n\t\t\treturn false", "if false && isReady(pod) {\n\t\t\treturn false", scenario("wait until old ones are gone")},
		{"wait: what starts stays", judgeFile, "settle = startedFor", "settle = 0", scenario("wait until it stays")},
		{"identity", "cmd/slipway/wire.go", "got != want && want != \"\"", "false", "^TestOtherCluster$"},
		{"prune when proven", "deploy/kube/turn.go", "if err == nil {\n\t\tif err := t.prune", "if true {\n\t\tif err := t.prune", "^TestPrune$"},
	}
}

// mutations are the guards, and each row of the table of verdicts that is taken out.
func mutations() ([]mutation, error) {
	source, err := os.ReadFile("../" + rulesFile)
	if err != nil {
		return nil, err
	}
	_, table, found := strings.Cut(string(source), "func rules() []rule {")
	table, _, ends := strings.Cut(table, "\n}\n")
	rows := regexp.MustCompile(`\n\t\t\{"([^"]+)".*`).FindAllStringSubmatch(table, -1)
	if !found || !ends || len(rows) == 0 {
		return nil, fmt.Errorf("%s has no table of rules", rulesFile)
	}
	var all []mutation
	for _, row := range rows {
		all = append(all, mutation{"rule: " + row[1], rulesFile, row[0], "", scenario(row[1])})
	}
	return append(all, guards()...), nil
}

// scenario matches those whose name begins so.
func scenario(name string) string {
	return "^TestScenarios$/^" + regexp.QuoteMeta(strings.ReplaceAll(name, " ", "_"))
}

package expr

import (
	"regexp"
	"sync"
)

// habits says how to write here what people know from other CI systems.
var habits = map[string]string{
	"always":    "as the key always: true, beside the kind",
	"success":   "as nothing: a stage runs only after its needs have succeeded",
	"failure":   "as the key always: true, and a script to which env gives stages.NAME.status",
	"cancelled": "as nothing: of a run that is cancelled, no further stage starts",

	"github":   "git.sha, git.branch, git.tag, ci.run or ci.url",
	"secrets":  "as a var: vars: {token: {type: secret, env: TOKEN}}, then vars.token",
	"env":      "as a var: vars: {name: {env: NAME}}, then vars.name",
	"inputs":   "as a var: vars: {name: {}}, then vars.name, and --var name=…",
	"steps":    "stages.NAME.OUTPUT",
	"jobs":     "stages.NAME.OUTPUT",
	"needs":    "stages.NAME.OUTPUT",
	"job":      "stages.NAME.status",
	"strategy": "matrix.NAME",

	"contains":   "text.contains(part), or element in list",
	"startsWith": "text.startsWith(part)",
	"endsWith":   "text.endsWith(part)",
	"join":       "list.join(separator)",
	"format":     "'%s'.format([value])",
	"hashFiles":  "stages.NAME.key, which changes with all that a build depends on",
	"fromJSON":   "as a var of type list or map",
	"toJSON":     "field by field",
}

// fields are those of GitHub's contexts that have one word here.
var fields = map[string]string{
	"github.sha": "git.sha", "github.ref_name": "git.branch, or git.tag", "github.head_ref": "git.branch",
	"github.ref": "git.branch, or git.tag", "github.run_id": "ci.run", "github.workspace": "as nothing: paths start at the folder of the file",
}

var field = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\w+\.\w+`) })

// habit returns how to write here what name means elsewhere, or "". Text begins
// with it.
func habit(name, text string) string {
	if own := fields[field().FindString(text)]; own != "" {
		return own
	}
	return habits[name]
}

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestDigests plays nodes that report one digest or another. What they report is the scenario's.
func TestDigests(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, reports string // reports: as an imageID, %s being the repository
		code          string
		exit          int
		says          string
	}{
		{"the pinned one", "%s@PINNED", "proven", 0, "2/2 pods run PINNED"},
		{"another", "%s@OTHER", "wrong-digest", 7, "runs OTHER, pinned was PINNED"},
		{"another that no registry has", "%s@" + fakeDigest(1), "wrong-digest", 7, "runs " + fakeDigest(1) + ", pinned was PINNED"},
		{"none", "", "unproven", 7, `reports imageID ""`},
		{"a tag only", "%s:v1", "unproven", 7, "so nothing says which digest it runs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, r := kwok(t), newRegistry(t)
			ns := c.namespace(t)
			known := strings.NewReplacer("PINNED", r.push(t, "web", "v1", "serve"), "OTHER", r.push(t, "web", "v2", "sleep"))
			repository := r.host + "/web"
			reports := test.reports
			if reports != "" {
				reports = fmt.Sprintf(reports, repository)
			}
			web := edit{"image-id: none", fmt.Sprintf("image-id: %q", known.Replace(reports))}.apply(t, healthyWeb)
			dir := webTree(web).write(t)
			got := deployWeb(c, dir, ns, repository+"@"+known.Replace("PINNED")).run(t).want(t, test.exit)
			v := verdict(t, dir, "Deployment "+ns+"/web")
			if v.Code != test.code {
				t.Errorf("code is %q, want %q", v.Code, test.code)
			}
			got.says(t, known.Replace(test.says), v.Text)
		})
	}
}

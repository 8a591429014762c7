package e2e_test

import (
	"testing"
	"time"
)

// TestOneStaticFile runs slipway where there is nothing but it: no variables, no program on the
// PATH, no libraries.
func TestOneStaticFile(t *testing.T) {
	t.Parallel()
	bin, err := binary("SLIPWAY_BIN", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	if err := isStatic(bin); err != nil {
		t.Error(err)
	}
	r := newRegistry(t)
	for _, test := range []struct {
		name string
		args []string
		says string
	}{
		{"version", []string{"version"}, "slipway "},
		{"validate", []string{"validate"}, ""},
		{"plan", []string{"plan"}, "build     app/Dockerfile"},
		{"build", []string{"run", "--state=state"}, "app  pushed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			as := ourselves(t)
			as.bare = true
			args := append(test.args, "--var=repository="+r.host+"/"+test.name)
			if test.name == "version" {
				args = test.args
			}
			call{Dir: as.write(t, appTree("RUN echo fine")), Args: args}.
				start(t, as).end(time.Minute).want(t, 0).says(t, test.says)
		})
	}
}

package main

import "testing"

// What was sent is remembered for our own solver alone: a machine that is restored, or
// copied, would remember less than a builder elsewhere has, and edits could be missed.
func TestSentIsOurOwn(t *testing.T) {
	env := func(string) (string, bool) { return "", false }
	for _, tt := range []struct {
		name  string
		flags flags
		want  bool
	}{
		{"our own", flags{}, true},
		{"isolated", flags{isolated: true}, false},
		{"elsewhere", flags{builders: []string{"tcp://127.0.0.1:1"}}, false},
		{"several", flags{builders: []string{"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"}}, false},
	} {
		a, w := &app{env: env, flags: tt.flags}, &world{state: t.TempDir()}
		a.addBuilders(w)
		for _, m := range w.members {
			if (m.Sent != "") != tt.want {
				t.Errorf("%s: what was sent is remembered in %q", tt.name, m.Sent)
			}
		}
		if len(w.members) == 0 {
			t.Errorf("%s: there is no builder", tt.name)
		}
	}
}

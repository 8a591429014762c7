package main

import (
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// risks returns the names that --approve takes.
func risks() []string {
	var names []string
	for _, r := range deploy.Risks() {
		names = append(names, string(r))
	}
	return names
}

// checkApproved refuses a risk that there is not: approving it would do nothing.
func (a *app) checkApproved() error {
	for _, name := range a.flags.approve {
		if !slices.Contains(risks(), name) {
			return usagef("--approve %s%s (want %s)", name, pipeline.Nearest(name, risks()), either(risks()))
		}
	}
	return nil
}

// approved returns the risks that are taken.
func (a *app) approved() []deploy.Risk {
	var given []deploy.Risk
	for _, name := range a.flags.approve {
		given = append(given, deploy.Risk(name))
	}
	return given
}

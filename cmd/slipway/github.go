package main

import (
	"os"

	"github.com/slipway-ci/slipway/pipeline/github"
)

// beside returns what collects annotations.
func (a *app) beside() *github.Annotations {
	if a.notices == nil {
		workspace, _ := a.env("GITHUB_WORKSPACE")
		dir, err := os.Getwd()
		if err != nil {
			dir = workspace
		}
		a.notices = &github.Annotations{Workspace: workspace, Dir: dir}
	}
	return a.notices
}

// annotate puts what is wrong beside the lines it is about.
func (a *app) annotate(err error) {
	if a.onGitHub() {
		a.beside().Write(a.hide(a.stderr), err)
	}
}

// maskOnGitHub tells the runner what to hide, unless what we print goes to a file
// that somebody keeps.
func (a *app) maskOnGitHub() {
	if f, ok := a.stderr.(*os.File); ok && a.onGitHub() {
		if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
			github.Masks(a.stderr, a.secrets...)
		}
	}
}

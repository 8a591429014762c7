package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/github"
	"github.com/slipway-ci/slipway/pipeline/page"
)

// runnersOwn returns what looks up our environment. What GitHub's runner gives to
// actions alone, and opens the cache of the repository, is taken out of the
// process: nothing that it starts shall have it.
func runnersOwn() func(name string) (string, bool) {
	own := map[string]string{}
	for _, name := range []string{"ACTIONS_RUNTIME_TOKEN", "ACTIONS_RUNTIME_URL", "ACTIONS_RESULTS_URL", "ACTIONS_CACHE_URL"} {
		if text, ok := os.LookupEnv(name); ok {
			own[name] = text
			_ = os.Unsetenv(name) // of a name that is one it cannot fail
		}
	}
	return func(name string) (string, bool) {
		if text, ok := own[name]; ok {
			return text, true
		}
		return os.LookupEnv(name)
	}
}

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

// handToGitHub writes the outputs and the summary of a run to the files that the
// runner names, whatever the progress looks like.
func (a *app) handToGitHub(rec *record) {
	a.handed = true
	var errs []error
	if file, _ := a.env("GITHUB_OUTPUT"); file != "" {
		values, err := outputs(rec)
		errs = append(errs, err, github.Outputs(file, values))
	}
	errs = append(errs, a.summarize(rec.report))
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintf(a.stderr, "warning: outputs or summary of this step are missing: %v\n", err)
	}
}

// failOnGitHub tells the steps after it, and the summary, of a command that failed
// before there was a run to tell of.
func (a *app) failOnGitHub(c *cobra.Command, failed error) {
	if a.handed {
		return
	}
	status := pipeline.StatusFailed
	if cause := (interrupted{}); errors.As(failed, &cause) {
		status = pipeline.StatusCanceled
	}
	var errs []error
	if file, _ := a.env("GITHUB_OUTPUT"); file != "" && c.Flags().Lookup("progress") != nil { // it runs stages
		errs = append(errs, github.Outputs(file, map[string]string{"status": string(status), "changed": "false"}))
	}
	r, err := a.clean(page.Failed(c.CommandPath(), status, failed))
	if err == nil {
		err = a.summarize(r)
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		fmt.Fprintf(a.stderr, "warning: outputs or summary of this step are missing: %v\n", err)
	}
}

// clean returns a report without secrets.
func (a *app) clean(r *page.Report) (*page.Report, error) {
	var text bytes.Buffer
	if err := page.JSON(a.hide(&text), r); err != nil {
		return nil, err
	}
	return page.Read(text.Bytes())
}

// summarize appends reports to the summary of the step of a job.
func (a *app) summarize(reports ...*page.Report) error {
	file, _ := a.env("GITHUB_STEP_SUMMARY")
	if file == "" {
		return nil
	}
	room, err := github.SummaryRoom(file)
	if err != nil || room < 4<<10 {
		return err
	}
	var text strings.Builder
	if err := page.Markdown(a.hide(&text), room, reports...); err != nil {
		return err
	}
	return github.Summary(file, text.String())
}

// An imageOutput is what the output images says of the image of a stage.
type imageOutput struct {
	Ref        string   `json:"ref,omitempty"` // empty: it was not pushed
	Digest     string   `json:"digest"`
	Repository string   `json:"repository,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	Platforms  []string `json:"platforms,omitempty"` // none: it was built elsewhere
	Action     string   `json:"action"`              // built, pushed, copied or reused
}

// outputs returns what a run gives to the steps after it: those that docs/github.md
// lists, and the outputs of the pipeline file, which win.
func outputs(rec *record) (map[string]string, error) {
	values := map[string]string{
		"status": string(rec.report.Status), "changed": fmt.Sprint(rec.report.Changed()),
	}
	if rec.dir != nil {
		if dir, err := filepath.Abs(rec.dir.Name()); err == nil {
			values["release"], values["report"] = filepath.Join(dir, "release.json"), filepath.Join(dir, "report.html")
		}
	}
	images, metadata := map[pipeline.ID]imageOutput{}, map[pipeline.ID]any{}
	var pushed []imageOutput
	for _, s := range rec.report.Images() {
		im := imageOutput{Ref: s.Image.Ref(), Digest: s.Image.Digest, Repository: s.Image.Repository, Tags: s.Image.Tags, Action: s.Action()}
		for _, p := range s.Platforms {
			im.Platforms = append(im.Platforms, p.Platform)
		}
		images[s.ID] = im
		var names []string
		for _, tag := range im.Tags {
			names = append(names, im.Repository+":"+tag)
		}
		metadata[s.ID] = map[string]any{"containerimage.digest": im.Digest, "image.name": strings.Join(names, ",")} // as docker/build-push-action has it
		if im.Ref != "" {
			pushed = append(pushed, im)
		}
	}
	for name, v := range map[string]any{"images": images, "metadata": metadata} {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		values[name] = string(text)
	}
	if len(pushed) == 1 {
		values["digest"], values["image"] = pushed[0].Digest, pushed[0].Ref
	}
	for name, v := range rec.report.Outputs {
		text, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		values[name] = text
	}
	return values, nil
}

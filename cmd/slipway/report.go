package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/page"
	"github.com/slipway-ci/slipway/pipeline/report"
)

func (a *app) report() *cobra.Command {
	open := false
	c := &cobra.Command{
		Use:   "report [ID]",
		Short: "Show what became of a run: the last, or the one that is named",
		Long: `Report shows what became of a run of this machine: causes and cures, images,
verdicts. The page of a run, with its logs, timeline and graph, is report.html
in .slipway/runs/ID beside the pipeline file; --open shows it in the browser.`,
		Example: `  slipway report --open
  slipway report 20260314-1592 -o markdown`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("report shows one run, but was given %d", len(args))
			}
			runs, err := a.records()
			if err != nil {
				return err
			}
			defer runs.Close()
			name, err := named(runs, args)
			if err != nil {
				return err
			}
			dir, err := runs.OpenRoot(name)
			if err != nil {
				return err
			}
			defer dir.Close()
			r, err := recorded(dir)
			if err != nil {
				return err
			}
			if open {
				return a.show(dir, r)
			}
			write := map[string]func(io.Writer) error{
				"text":     func(w io.Writer) error { return page.Text(w, r) },
				"json":     func(w io.Writer) error { return page.JSON(w, r) },
				"junit":    func(w io.Writer) error { return page.JUnit(w, r) },
				"markdown": func(w io.Writer) error { return page.Markdown(w, 0, r) },
				"html":     func(w io.Writer) error { return page.HTML(w, logsIn(dir), r) },
			}[a.flags.output]
			return write(a.stdout)
		},
	}
	a.whichFile(c)
	a.outputFlag(c, "json", "markdown", "html", "junit")
	c.Flags().BoolVar(&open, "open", false, "show the page in the browser")
	return c
}

func (a *app) runs() *cobra.Command {
	c := &cobra.Command{
		Use:   "runs",
		Short: "List the runs of this machine that are kept beside the pipeline file",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			runs, err := a.records()
			if err != nil {
				return err
			}
			defer runs.Close()
			names, err := recordNames(runs)
			if err != nil {
				return err
			}
			list := []*page.Report{}
			for _, name := range slices.Backward(names) {
				dir, err := runs.OpenRoot(name)
				if err != nil {
					return err
				}
				r, err := recorded(dir)
				_ = dir.Close()
				if err != nil {
					fmt.Fprintf(a.stderr, "warning: run %s: %v\n", name, err)
					continue
				}
				list = append(list, r)
			}
			if a.flags.output == "json" {
				return listJSON(a.stdout, list)
			}
			return listText(a.stdout, list)
		},
	}
	a.whichFile(c)
	a.outputFlag(c, "json")
	return c
}

// whichFile adds the flag that says beside which pipeline file records are.
func (a *app) whichFile(c *cobra.Command) {
	c.Flags().StringVarP(&a.flags.file, "file", "f", "slipway.yaml", "the pipeline file, beside which the records are")
}

// records opens the folder of records.
func (a *app) records() (*os.Root, error) {
	dir := filepath.Join(filepath.Dir(a.flags.file), ".slipway", "runs")
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("no run has a record here: there is no %s (name the pipeline file with -f)", dir)
	}
	return root, err
}

// recordNames returns the names of the records, the oldest first.
func recordNames(runs *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(runs.FS(), ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// named returns the name of the record that is meant: the last, or the one that
// begins so.
func named(runs *os.Root, args []string) (string, error) {
	names, err := recordNames(runs)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", usagef("no run has a record here")
	}
	if len(args) == 0 {
		return names[len(names)-1], nil
	}
	var found []string
	for _, n := range names {
		if n == args[0] {
			return n, nil
		}
		if strings.HasPrefix(n, args[0]) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", usagef("no run is called %q (see slipway runs)", args[0])
	}
	return "", usagef("%s begin with %q (say more of it)", report.Count(len(found), "run"), args[0])
}

// recorded reads the report of a run. Of one that did not come to its end, it
// takes what happened from the journal.
func recorded(dir *os.Root) (*page.Report, error) {
	text, err := dir.ReadFile("report.json")
	if err != nil {
		return nil, err
	}
	r, err := page.Read(text)
	if err != nil || !r.Finished.IsZero() {
		return r, err
	}
	journal, err := dir.ReadFile("journal.jsonl")
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(journal) {
		var ev pipeline.Event
		if err := json.Unmarshal(line, &ev); err != nil {
			break // the last line of a run that was killed
		}
		r.Event(ev)
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		if lines, err := countLines(dir, logName(s.ID)); err == nil {
			s.Log, s.Lines = logName(s.ID), lines
		}
	}
	return r, nil
}

// countLines returns how many lines a file has.
func countLines(dir *os.Root, name string) (int, error) {
	f, err := dir.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, part := 0, make([]byte, 64<<10)
	for {
		got, err := f.Read(part)
		n += bytes.Count(part[:got], []byte("\n"))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// show opens the page of a run in the browser. Of a run that was killed it is
// written first.
func (a *app) show(dir *os.Root, r *page.Report) error {
	if _, err := dir.Lstat("report.html"); errors.Is(err, fs.ErrNotExist) {
		var text bytes.Buffer
		if err := errors.Join(page.HTML(&text, logsIn(dir), r), dir.WriteFile("report.html", text.Bytes(), 0o644)); err != nil {
			return err
		}
	}
	file, err := filepath.Abs(filepath.Join(dir.Name(), "report.html"))
	if err != nil {
		return err
	}
	command := []string{"xdg-open", file}
	switch runtime.GOOS {
	case "darwin":
		command = []string{"open", file}
	case "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler", file}
	}
	fmt.Fprintln(a.stdout, file)
	if err := exec.Command(command[0], command[1:]...).Start(); err != nil {
		return usagef("no browser could be started: %w (open the file yourself)", err)
	}
	return nil
}

func listText(w io.Writer, list []*page.Report) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tSTATUS\tENVIRONMENT\tTOOK\tWHAT")
	for _, r := range list {
		status, took := string(r.Status), r.Finished.Sub(r.Started).Round(100*time.Millisecond).String()
		if r.Finished.IsZero() {
			status, took = "unfinished", ""
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.ID, status, report.Tame(r.Environment), took, report.Tame(r.Headline()))
	}
	return tw.Flush()
}

func listJSON(w io.Writer, list []*page.Report) error {
	type entry struct {
		ID          string          `json:"id"`
		Pipeline    string          `json:"pipeline"`
		Environment string          `json:"environment,omitempty"`
		Commit      string          `json:"commit,omitempty"`
		Started     time.Time       `json:"started"`
		Finished    time.Time       `json:"finished,omitzero"`
		Status      pipeline.Status `json:"status,omitempty"` // empty: it has not ended, or was killed
		Headline    string          `json:"headline"`
	}
	entries := []entry{}
	for _, r := range list {
		entries = append(entries, entry{r.ID, r.Pipeline, r.Environment, r.Commit, r.Started, r.Finished, r.Status, r.Headline()})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(entries)
}

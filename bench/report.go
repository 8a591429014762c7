package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Report is what one scenario gave.
type Report struct {
	ID       string    `json:"id"`
	About    string    `json:"about"`
	Machine  Machine   `json:"machine"`
	Series   []*Series `json:"series"`
	Verdicts []Verdict `json:"verdicts"`
	Notes    []string  `json:"notes,omitempty"`
}

// Machine is where and when it was measured.
type Machine struct {
	Time  time.Time `json:"time"`
	CPU   string    `json:"cpu"`
	Cores int       `json:"cores"`
}

// A Series is the costs of one case.
type Series struct {
	Work  string `json:"work"`
	Size  int    `json:"size"`
	Case  string `json:"case"`
	Costs []Cost `json:"costs"`
}

// A Verdict is a target, and what was reached.
type Verdict struct {
	What string  `json:"what"`
	Got  float64 `json:"got"`
	Most float64 `json:"most"`
	Met  bool    `json:"met"`
	Gate bool    `json:"gate,omitempty"` // a promise: the bench fails when it is broken
}

func (v Verdict) String() string {
	word := "met"
	if !v.Met {
		word = "MISSED"
	}
	return fmt.Sprintf("%s: %.3g, at most %.3g: %s", v.What, v.Got, v.Most, word)
}

// aim records a target of the scenario; missing it is a result, and no failure.
func (b *Bench) aim(what string, got, most float64) {
	b.verdict(Verdict{What: what, Got: got, Most: most})
}

// promise records what must not be broken.
func (b *Bench) promise(what string, got, most float64) {
	b.verdict(Verdict{What: what, Got: got, Most: most, Gate: true})
}

func (b *Bench) verdict(v Verdict) {
	v.Met = v.Got <= v.Most
	b.Report.Verdicts = append(b.Report.Verdicts, v)
	fmt.Fprintf(b.Log, "  → %s\n", v)
}

func (b *Bench) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	b.Report.Notes = append(b.Report.Notes, note)
	fmt.Fprintf(b.Log, "  · %s\n", note)
}

// wall and cpu are medians in seconds, peak in bytes.
func (s *Series) wall() float64 { return s.median(wall) }
func (s *Series) cpu() float64  { return s.median(cpu) }
func (s *Series) peak() float64 { return s.median(peak) }

func wall(c Cost) float64 { return c.Wall.Seconds() }
func cpu(c Cost) float64  { return c.CPU.Seconds() }
func peak(c Cost) float64 { return float64(c.Peak) }

func (s *Series) median(of func(Cost) float64) float64 {
	sorted := s.sorted(of)
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func (s *Series) sorted(of func(Cost) float64) []float64 {
	all := make([]float64, len(s.Costs))
	for i, c := range s.Costs {
		all[i] = of(c)
	}
	slices.Sort(all)
	return all
}

// spread is what the middle half of the runs differs by, as a part of the median.
func (s *Series) spread(of func(Cost) float64) float64 {
	sorted := s.sorted(of)
	n := len(sorted)
	return (sorted[n-1-n/4] - sorted[n/4]) / s.median(of)
}

func (s *Series) String() string {
	return fmt.Sprintf("%-34s %-24s wall %9s ±%2.0f%%  CPU %9s ±%2.0f%%  peak %5.0f MB  (%d runs)", s.Work, s.Case,
		seconds(s.wall()), 100*s.spread(wall), seconds(s.cpu()), 100*s.spread(cpu), s.peak()/1e6, len(s.Costs))
}

func seconds(s float64) string {
	switch {
	case s < 0.9995:
		return fmt.Sprintf("%.3g ms", 1e3*s)
	case s < 100:
		return fmt.Sprintf("%.3g s", s)
	}
	return fmt.Sprintf("%.0f s", s)
}

// exponent says how a cost grows with size: 1 is in proportion, 2 with its square.
func exponent(small, large *Series, of func(*Series) float64) float64 {
	return math.Log(of(large)/of(small)) / math.Log(float64(large.Size)/float64(small.Size))
}

func machine() Machine {
	m := Machine{Time: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU()}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

func (r *Report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.ID+".json"), append(text, '\n'), 0o644)
}

// table writes one Markdown table of all results in a folder, and plots of some.
func table(dir string) error {
	var reports []Report
	for _, s := range scenarios() {
		text, err := os.ReadFile(filepath.Join(dir, s.ID+".json"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		var r Report
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("%s.json: %w", s.ID, err)
		}
		reports = append(reports, r)
	}
	return errors.Join(plots(dir, reports), os.WriteFile(filepath.Join(dir, "table.md"), []byte(markdown(reports)), 0o644))
}

// markdown shows targets first, then every series.
func markdown(reports []Report) string {
	var b strings.Builder
	b.WriteString("| | aim | reached | at most | |\n|---|---|---|---|---|\n")
	for _, r := range reports {
		for _, v := range r.Verdicts {
			word := "met"
			if !v.Met {
				word = "**missed**"
			}
			fmt.Fprintf(&b, "| %s | %s | %.3g | %.3g | %s |\n", r.ID, v.What, v.Got, v.Most, word)
		}
	}
	b.WriteString("\n| | work | with | wall | CPU | peak memory | CPU, of slipway's | runs |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range reports {
		ours := map[string]*Series{}
		for _, s := range r.Series {
			if s.Case == "slipway" {
				ours[s.Work] = s
			}
		}
		for _, s := range r.Series {
			ratio := ""
			if o := ours[s.Work]; o != nil && o != s {
				ratio = fmt.Sprintf("%.3g ×", s.cpu()/o.cpu())
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s ± %.0f %% | %s ± %.0f %% | %.0f MB | %s | %d |\n", r.ID, s.Work, s.Case,
				seconds(s.wall()), 100*s.spread(wall), seconds(s.cpu()), 100*s.spread(cpu), s.peak()/1e6, ratio, len(s.Costs))
		}
	}
	for _, r := range reports {
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "\n%s: %s\n", r.ID, n)
		}
	}
	b.WriteString("\n± is what the middle half of the runs differs by.")
	on := map[string][]string{} // where and when, in words: what was measured there
	for _, r := range reports {
		where := fmt.Sprintf("%s on %d cores of %s", r.Machine.Time.Format(time.DateOnly), r.Machine.Cores, r.Machine.CPU)
		on[where] = append(on[where], r.ID)
	}
	for _, where := range slices.Sorted(maps.Keys(on)) {
		fmt.Fprintf(&b, " Measured %s: %s.", where, strings.Join(on[where], ", "))
	}
	b.WriteString("\n")
	return b.String()
}

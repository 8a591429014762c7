package page

import (
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// Markdown writes reports as GitHub and GitLab show it: verdict, cause and cure
// first, then images, workloads, the timeline, the graph and the differences. Most
// is how many bytes it has at most, zero means no limit: what does not fit is left
// out from the end, and that is said. No text in it makes links, images or HTML.
func Markdown(w io.Writer, most int, reports ...*Report) error {
	var b strings.Builder
	const more = "\n*The rest does not fit here: it is in the report.*\n"
	for _, r := range reports {
		r, err := r.tame()
		if err != nil {
			return err
		}
		for _, part := range []string{
			r.mdHead(), r.mdSteps(), r.mdImages(), r.mdVerdicts(), r.mdGraph(), r.mdOutputs(),
		} {
			if most > 0 && b.Len()+len(part)+len(more) > most {
				return finish(w, &b, more)
			}
			b.WriteString(part)
		}
		for _, s := range r.Steps {
			for _, e := range s.Effects {
				if e.Diff == "" {
					continue
				}
				fence := strings.Repeat("`", max(3, longestRun(e.Diff)+1))
				part := fmt.Sprintf("<details><summary>%s %s</summary>\n\n%sdiff\n%s\n%s\n\n</details>\n", md(e.Verb), md(e.Object), fence, e.Diff, fence)
				if most > 0 && b.Len()+len(part)+len(more) > most {
					return finish(w, &b, more)
				}
				b.WriteString(part)
			}
		}
		b.WriteString("\n")
	}
	return finish(w, &b, "")
}

func finish(w io.Writer, b *strings.Builder, end string) error {
	_, err := io.WriteString(w, b.String()+end)
	return err
}

// md makes text mean nothing in Markdown.
func md(s string) string {
	var b strings.Builder
	for i, c := range s {
		switch {
		case c == ':' && strings.HasPrefix(s[i:], "://"), c == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www"): // these make links
			fmt.Fprintf(&b, "&#%d;", c)
		case c == '\n' || c == '\r':
			b.WriteString("<br>")
		case strings.ContainsRune("&<>\"'`*_[]()|\\#@~!$^", c) && c < 128: // @ mentions people, # issues
			fmt.Fprintf(&b, "&#%d;", c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// code returns s as code: of one line, in a table cell.
func code(s string) string { return "<code>" + md(s) + "</code>" }

// longestRun returns how many backticks stand in a row in s at most.
func longestRun(s string) int {
	most, n := 0, 0
	for _, c := range s {
		if n++; c != '`' {
			n = 0
		}
		most = max(most, n)
	}
	return most
}

func (r *Report) mdHead() string {
	var b strings.Builder
	mark := map[pipeline.Status]string{pipeline.StatusOK: "✅ ", pipeline.StatusFailed: "❌ ", pipeline.StatusCanceled: "⚠️ "}[r.Status]
	fmt.Fprintf(&b, "## %s%s\n\n", mark, md(r.Headline()))
	for i, c := range r.Causes {
		if i == 20 {
			fmt.Fprintf(&b, "And %d more.\n\n", len(r.Causes)-i)
			break
		}
		fmt.Fprintf(&b, "> **%s** %s\n", md(strings.TrimSpace(string(c.Stage)+" "+c.Code)), md(c.Text))
		if c.File != "" {
			fmt.Fprintf(&b, "> <br>%s\n", code(strings.TrimSuffix(fmt.Sprintf("%s:%d", c.File, c.Line), ":0")))
		}
		if c.Cure != "" {
			fmt.Fprintf(&b, "> <br>**What mends it:** %s\n", md(c.Cure))
		}
		if len(c.Log) > 0 {
			b.WriteString("> <pre>")
			for _, l := range c.Log {
				b.WriteString(md(l) + "<br>")
			}
			b.WriteString("</pre>\n")
		}
		b.WriteString("\n")
	}
	if len(r.Unchecked) > 0 {
		b.WriteString("**Could not be checked**, and is planned as if nothing was there:\n\n")
		for _, c := range r.Unchecked {
			fmt.Fprintf(&b, "- %s: %s", md(string(c.Stage)), md(c.Text))
			if c.Cure != "" {
				fmt.Fprintf(&b, " *What it would take:* %s", md(c.Cure))
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (r *Report) mdSteps() string {
	if len(r.Steps) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| step | kind | | time | changes |\n|---|---|---|--:|---|\n")
	for _, s := range r.Steps {
		var effects []string
		for i, e := range s.Effects {
			if i == 8 && len(s.Effects) > 9 {
				effects = append(effects, fmt.Sprintf("and %d more", len(s.Effects)-i))
				break
			}
			effects = append(effects, md(e.Verb)+" "+code(e.Object))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", md(string(s.ID)), s.Kind, md(s.State()), duration(s.Elapsed), strings.Join(effects, "<br>"))
	}
	return b.String() + "\n"
}

func (r *Report) mdImages() string {
	images := r.Images()
	if len(images) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| image | | digest | tags | size |\n|---|---|---|---|---|\n")
	for _, s := range images {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", md(string(s.ID)), s.Action(), code(strings.TrimPrefix(s.Image.Repository+"@"+s.Image.Digest, "@")), md(strings.Join(s.Image.Tags, ", ")), md(s.Sizes()))
	}
	b.WriteString("\n")
	for _, s := range images {
		for _, p := range s.Platforms {
			fmt.Fprintf(&b, "<details><summary>Layers of %s %s, %s</summary>\n\n| size | layer | by |\n|--:|---|---|\n", md(string(s.ID)), md(p.Platform), report.Size(p.Size))
			for _, l := range p.Layers {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", report.Size(l.Size), code(short(l.Digest)), code(oneLine(l.By, 160)))
			}
			b.WriteString("\n</details>\n\n")
		}
	}
	return b.String()
}

func (r *Report) mdVerdicts() string {
	var b strings.Builder
	for _, s := range r.Steps {
		for _, v := range s.Verdicts {
			mark := "✅"
			if !v.OK {
				mark = "❌"
			}
			fmt.Fprintf(&b, "- %s %s %s\n", mark, code(v.Object), md(v.Text))
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// mdGraph draws what comes after what, with the names that are safe in Mermaid.
func (r *Report) mdGraph() string {
	if len(r.Steps) < 2 || len(r.Steps) > 100 {
		return ""
	}
	var b strings.Builder
	b.WriteString("<details><summary>Graph</summary>\n\n```mermaid\nflowchart LR\n")
	names := map[pipeline.ID][]string{}
	for i, s := range r.Steps {
		name := fmt.Sprintf("s%d", i+1)
		names[s.ID] = append(names[s.ID], name)
		if stage := s.ID.Stage(); stage != s.ID {
			names[stage] = append(names[stage], name)
		}
		label := strings.NewReplacer("#", "#35;", `"`, "#quot;", "`", "#96;", "<", "#lt;", ">", "#gt;").Replace(string(s.ID))
		fmt.Fprintf(&b, "  %s[\"%s<br/>%s\"]\n", name, label, s.Kind)
	}
	for i, s := range r.Steps {
		for _, id := range s.After {
			for _, from := range names[id] {
				fmt.Fprintf(&b, "  %s --> s%d\n", from, i+1)
			}
		}
	}
	return b.String() + "```\n\n</details>\n\n"
}

func (r *Report) mdOutputs() string {
	var b strings.Builder
	for _, name := range pipeline.Keys(r.Outputs) {
		fmt.Fprintf(&b, "- output %s = %s\n", md(name), code(fmt.Sprint(r.Outputs[name])))
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

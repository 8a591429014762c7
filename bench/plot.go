package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Plots show costs against sizes, both with logarithms: what grows with the work is a
// line of one steepness, what grows with its square one of twice that.
const (
	plotWidth, plotHeight    = 760, 420
	plotLeft, plotRight      = 80, 500 // of the area with lines; names stand right of it
	plotTop, plotBottom      = 40, 370
	inkColour, gridColour    = "#57606a", "#d0d7de"
	plotFont, plotBackground = "font-family=\"system-ui, sans-serif\" font-size=\"12\"", "#ffffff"
)

func plotColours() []string {
	return []string{"#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#9a6700", "#57606a", "#cf222e", "#0a3069"}
}

// A curve is what one case costs at several sizes.
type curve struct {
	name   string
	points [][2]float64 // size and CPU-seconds
}

var digits = regexp.MustCompile(`[0-9]+ *`)

// curves returns the series of a report that have more than one size, by case and kind of
// work.
func curves(r Report) []curve {
	var all []curve
	kinds := map[string]bool{}
	for _, s := range r.Series {
		kinds[digits.ReplaceAllString(s.Work, "")] = true
	}
	for _, s := range r.Series {
		name := s.Case
		if kind := strings.Trim(digits.ReplaceAllString(s.Work, ""), " ,"); len(kinds) > 1 {
			name += ", " + strings.TrimSuffix(kind, " of")
		}
		i := slices.IndexFunc(all, func(l curve) bool { return l.name == name })
		if i < 0 {
			i = len(all)
			all = append(all, curve{name: name})
		}
		all[i].points = append(all[i].points, [2]float64{float64(s.Size), s.cpu()})
	}
	return slices.DeleteFunc(all, func(l curve) bool { return len(l.points) < 2 || l.points[0][0] == l.points[1][0] })
}

// plot returns a report as a picture, or "" where nothing has two sizes.
func plot(r Report) string {
	all := curves(r)
	if len(all) == 0 {
		return ""
	}
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{}
	for _, l := range all {
		for _, p := range l.points {
			for axis, v := range p {
				low[axis], high[axis] = min(low[axis], v), max(high[axis], v)
			}
		}
	}
	for axis := range low { // whole powers of ten
		low[axis], high[axis] = math.Floor(math.Log10(low[axis])), math.Ceil(math.Log10(high[axis]))
		high[axis] = max(high[axis], low[axis]+1)
	}
	at := func(axis int, v float64) float64 {
		part := (math.Log10(v) - low[axis]) / (high[axis] - low[axis])
		if axis == 0 {
			return plotLeft + part*(plotRight-plotLeft)
		}
		return plotBottom - part*(plotBottom-plotTop)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %[1]d %[2]d\" %s fill=\"%s\">\n", plotWidth, plotHeight, plotFont, inkColour)
	fmt.Fprintf(&b, "<rect width=\"100%%\" height=\"100%%\" fill=\"%s\"/>\n", plotBackground)
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"22\" font-size=\"14\" font-weight=\"600\">%s: %s</text>\n", plotLeft, r.ID, html.EscapeString(r.About))
	for exp := low[0]; exp <= high[0]; exp++ {
		x := at(0, math.Pow(10, exp))
		fmt.Fprintf(&b, "<path d=\"M%.1f %dV%d\" stroke=\"%s\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n", x, plotTop, plotBottom, gridColour, x, plotBottom+18, math.Pow(10, exp))
	}
	for exp := low[1]; exp <= high[1]; exp++ {
		y := at(1, math.Pow(10, exp))
		fmt.Fprintf(&b, "<path d=\"M%d %.1fH%d\" stroke=\"%s\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", plotLeft, y, plotRight, gridColour, plotLeft-8, y+4, seconds(math.Pow(10, exp)))
	}
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">size</text><text x=\"16\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 16 %[4]d)\">CPU time</text>\n", (plotLeft+plotRight)/2, plotBottom+38, (plotTop+plotBottom)/2, (plotTop+plotBottom)/2)
	colours := plotColours()
	last := func(l curve) float64 { return l.points[len(l.points)-1][1] }
	slices.SortFunc(all, func(a, b curve) int { return int(math.Copysign(1, last(b)-last(a))) })
	label := float64(plotTop)
	for n, l := range all {
		colour := colours[n%len(colours)]
		var path strings.Builder
		for i, p := range l.points {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], at(0, p[0]), at(1, p[1]))
			fmt.Fprintf(&b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", at(0, p[0]), at(1, p[1]), colour)
		}
		fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path.String(), colour)
		end := l.points[len(l.points)-1]
		y := max(label, at(1, end[1])) // names keep apart
		label = y + 16
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fL%d %.1f\" stroke=\"%s\" stroke-dasharray=\"2 2\"/><text x=\"%d\" y=\"%.1f\" fill=\"%[5]s\">%[8]s</text>\n", at(0, end[0]), at(1, end[1]), plotRight+8, y, colour, plotRight+12, y+4, html.EscapeString(l.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// plots writes pictures of those reports that grow by size.
func plots(dir string, reports []Report) error {
	for _, r := range reports {
		if !slices.Contains([]string{"P2", "P8", "P12"}, r.ID) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, r.ID+".svg"), []byte(plot(r)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

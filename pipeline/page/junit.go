package page

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// JUnit writes r as the XML that CI systems read results of tests from: a case
// for each step, and one for each workload.
func JUnit(w io.Writer, r *Report) error {
	r, err := r.tame()
	if err != nil {
		return err
	}
	type text struct {
		Message string `xml:"message,attr,omitempty"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
	type entry struct {
		Name      string `xml:"name,attr"`
		Classname string `xml:"classname,attr"`
		Time      string `xml:"time,attr"` // seconds
		File      string `xml:"file,attr,omitempty"`
		Line      int    `xml:"line,attr,omitempty"`
		Failure   *text  `xml:"failure"`
		Skipped   *text  `xml:"skipped"`
	}
	suite := struct {
		XMLName   xml.Name `xml:"testsuite"`
		Name      string   `xml:"name,attr"`
		Tests     int      `xml:"tests,attr"`
		Failures  int      `xml:"failures,attr"`
		Skipped   int      `xml:"skipped,attr"`
		Time      string   `xml:"time,attr"`
		Timestamp string   `xml:"timestamp,attr"`
		Cases     []entry  `xml:"testcase"`
	}{Name: strings.TrimSuffix(r.Pipeline+"."+r.Environment, "."), Time: fmt.Sprintf("%.3f", max(0, r.Finished.Sub(r.Started).Seconds())), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05")}
	for _, s := range r.Steps {
		c := entry{Name: string(s.ID), Classname: suite.Name + "." + s.Kind, Time: fmt.Sprintf("%.3f", s.Elapsed.Seconds())}
		switch s.Status {
		case pipeline.StatusFailed:
			f := &text{Message: s.Why}
			for _, cause := range r.Causes {
				if cause.Stage == s.ID {
					if f.Text == "" {
						f.Message, f.Type, c.File, c.Line = cause.Text, cause.Code, cause.File, cause.Line
					}
					f.Text += strings.Join(append([]string{cause.Text, cause.Cure}, cause.Log...), "\n") + "\n"
				}
			}
			c.Failure = f
		case pipeline.StatusSkipped, pipeline.StatusCanceled, "":
			c.Skipped = &text{Message: s.Why}
		}
		suite.Cases = append(suite.Cases, c)
		for _, v := range s.Verdicts {
			c := entry{Name: v.Object, Classname: suite.Name + "." + string(s.ID), Time: "0.000", File: v.File, Line: v.Line}
			if !v.OK {
				c.Failure = &text{Message: v.Text, Type: v.Code, Text: v.Cure}
			}
			suite.Cases = append(suite.Cases, c)
		}
	}
	for _, c := range suite.Cases {
		suite.Tests++
		if c.Failure != nil {
			suite.Failures++
		}
		if c.Skipped != nil {
			suite.Skipped++
		}
	}
	b, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, xml.Header+string(b)+"\n")
	return err
}

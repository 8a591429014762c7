package stages

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
)

const (
	maxReport = 64 << 20 // bytes of a test report
	maxTold   = 100      // failed tests that are told by name
)

// A testReport is one in JUnit's format, as far as its many writers agree: test
// suites, which may hold others, and test cases.
//
// See https://github.com/testmoapp/junitxml.
type testReport struct {
	Suites []testReport `xml:"testsuite"`
	Cases  []testCase   `xml:"testcase"`
}

type testCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    float64      `xml:"time,attr"` // seconds
	File    string       `xml:"file,attr"`
	Line    int          `xml:"line,attr"`
	Failure *testFailure `xml:"failure"`
	Error   *testFailure `xml:"error"`
	Skipped *struct{}    `xml:"skipped"`
}

type testFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func parseReport(text []byte) (*testReport, error) {
	r := &testReport{}
	if err := xml.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("test report: %w", err)
	}
	return r, nil
}

// all returns every test case, in the order of the report.
func (r *testReport) all() []testCase {
	cases := r.Cases
	for i := range r.Suites {
		cases = append(cases, r.Suites[i].all()...)
	}
	return cases
}

// tell says how many tests there were, and which of them failed.
func (r *testReport) tell(env *pipeline.Env) error {
	total, failed, skipped := 0, 0, 0
	for _, c := range r.all() {
		total++
		if c.Skipped != nil {
			skipped++
		}
		fault := cmp.Or(c.Failure, c.Error)
		if fault == nil {
			continue
		}
		if failed++; failed > maxTold {
			continue
		}
		name := c.Name
		if c.Class != "" {
			name = c.Class + "." + c.Name
		}
		env.Emit(pipeline.Event{
			Type: pipeline.EventTest, Task: name, Status: pipeline.StatusFailed, Text: cmp.Or(fault.Message, firstWords(fault.Text)),
			File: c.File, Line: c.Line, Elapsed: time.Duration(c.Time * float64(time.Second)),
		})
	}
	text := fmt.Sprintf("%d tests, %d failed", total, failed)
	if skipped > 0 {
		text += fmt.Sprintf(", %d skipped", skipped)
	}
	env.Notef("%s", text)
	return nil
}

// firstWords returns the first line of a text that has something in it.
func firstWords(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

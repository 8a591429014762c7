package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPlot(t *testing.T) {
	r := Report{ID: "P0", About: "<work>"}
	for _, size := range []int{10, 100, 1000} {
		for name, each := range map[string]time.Duration{"ours": time.Millisecond, "a & b": time.Second} {
			r.Series = append(r.Series, &Series{Work: "work", Size: size, Case: name, Costs: []Cost{{CPU: time.Duration(size) * each}}})
		}
	}
	text := plot(r)
	for _, want := range []string{"&lt;work&gt;", "a &amp; b", "ours", "10 ms", "1000 s"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	if got := curves(r); len(got) != 2 || len(got[0].points) != 3 {
		t.Errorf("got %v", got)
	}
	if got := plot(Report{Series: r.Series[:2]}); got != "" {
		t.Errorf("of one size: got %s", got)
	}
}

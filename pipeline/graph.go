package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// Order returns the indices of stages so that each comes after all it needs;
// ties keep the order of the file. A cycle is an [Error] that shows it as a path.
func Order(stages []Stage) ([]int, error) {
	index := make(map[ID]int, len(stages))
	for i, st := range stages {
		index[st.ID] = i
	}
	waits := make([]int, len(stages)) // needs that are not ordered yet
	after := make([][]int, len(stages))
	for i, st := range stages {
		for _, n := range st.Needs {
			if j, ok := index[n.Stage]; ok {
				waits[i]++
				after[j] = append(after[j], i)
			}
		}
	}
	var order, ready []int
	for i := range stages {
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		slices.Sort(ready)
		var next []int
		for _, i := range ready {
			order = append(order, i)
			for _, j := range after[i] {
				if waits[j]--; waits[j] == 0 {
					next = append(next, j)
				}
			}
		}
		ready = next
	}
	if len(order) < len(stages) {
		return nil, cycle(stages, index, waits)
	}
	return order, nil
}

// cycle follows needs among the stages that wait until one comes again.
func cycle(stages []Stage, index map[ID]int, waits []int) error {
	at := slices.IndexFunc(waits, func(n int) bool { return n > 0 })
	var path []int
	for !slices.Contains(path, at) {
		path = append(path, at)
		for _, n := range stages[at].Needs {
			if j, ok := index[n.Stage]; ok && waits[j] > 0 {
				at = j
				break
			}
		}
	}
	path = append(path[slices.Index(path, at):], at)
	var words []string
	for _, i := range path {
		words = append(words, string(stages[i].ID))
	}
	first := stages[path[0]]
	pos := first.Pos
	for _, n := range first.Needs {
		if n.Stage == stages[path[1]].ID {
			pos = n.Pos
		}
	}
	return &Error{
		Pos: pos, Code: "cycle", Stage: first.ID,
		Err: fmt.Errorf("stages need each other in a circle: %s (remove one of these needs)", strings.Join(words, " → ")),
	}
}

package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// direction says which of two figures is the better one.
type direction bool

const (
	lower  direction = false
	higher direction = true
)

// samples are the figures of one column, by kind of broker, as they count.
type samples [][]float64

// newSamples has room for the brokers and, last, the floor.
func newSamples() samples { return make(samples, len(kinds)+1) }

// add notes the figure of a round, of which the first does not count.
func (s samples) add(round, kind int, figure float64) {
	if round > 0 {
		s.only(kind, figure)
	}
}

// only notes a figure that counts.
func (s samples) only(kind int, figure float64) { s[kind] = append(s[kind], figure) }

// median returns the middle figure, of two the lower one.
func (s samples) median(kind int) float64 {
	sorted := slices.Sorted(slices.Values(s[kind]))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)/2]
}

// column is one figure of a row.
type column struct {
	unit    string
	better  direction
	samples samples
}

// ratio is how many times better the first kind is than the second.
func (c column) ratio() float64 {
	if c.better == higher {
		return c.samples.median(0) / c.samples.median(1)
	}
	return c.samples.median(1) / c.samples.median(0)
}

// row is one line of the table.
type row struct {
	name    string
	columns []column
}

func (r row) markdown() string {
	cells := []string{r.name}
	for kind := range kinds {
		cells = append(cells, r.figures(kind))
	}
	cells = append(cells, r.join(func(c column) string {
		if len(c.samples[0]) == 0 || len(c.samples[1]) == 0 {
			return ""
		}
		return number(c.ratio()) + "×"
	}))
	cells = append(cells, r.figures(len(kinds)))
	return "| " + strings.Join(cells, " | ") + " |"
}

// figures are those of one kind, empty where it was not measured.
func (r row) figures(kind int) string {
	return r.join(func(c column) string {
		if len(c.samples[kind]) == 0 {
			return ""
		}
		return number(c.samples.median(kind)) + " " + c.unit
	})
}

func (r row) join(cell func(column) string) string {
	var parts []string
	for _, c := range r.columns {
		if text := cell(c); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}

// number shows two digits that matter, and whole ones of a large number.
func number(f float64) string {
	switch {
	case f >= 10_000:
		return fmt.Sprintf("%d,%03d", int(f)/1000, int(f)%1000)
	case f >= 10:
		return fmt.Sprintf("%.0f", f)
	case f >= 1:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

// table returns the whole table and what it was measured on.
func (m *measurement) table() string {
	var out strings.Builder
	fmt.Fprintf(&out, "| | %s | %s | better by | %s |\n|---|---|---|---|---|\n", kinds[0].name, kinds[1].name, floorName)
	for _, r := range m.rows {
		fmt.Fprintln(&out, r.markdown())
	}
	fmt.Fprintf(&out, "\n%d cores, %s/%s; medians of %d rounds of %s after one that does not count. Memory is what no file stands behind.\n"+
		"The floor is a program that only receives, computes CRC-32C and writes, without a flush; or only calls sendfile.\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, m.rounds-1, m.length)
	return out.String()
}

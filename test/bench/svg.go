package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The picture's measures, in pixels.
const (
	picture   = 900
	barsFrom  = 430
	barsTo    = 760
	barHeight = 9
)

// colours of the brokers, and of the floor.
var colours = []string{"#00798c", "#9e9e9e", "#e0c36a"}

// svg draws the median of each figure as a bar, with a line from the least to the most
// that a round achieved. The longest of a figure's bars is as wide as there is room.
func (m *measurement) svg() string {
	var out strings.Builder
	y := 34
	for i, name := range names() {
		fmt.Fprintf(&out, `<rect x="%d" y="8" width="10" height="10" fill="%s"/><text x="%d" y="17">%s</text>`+"\n", 10+i*160, colours[i], 25+i*160, html.EscapeString(name))
	}
	for _, r := range m.rows {
		for i, c := range r.columns {
			if i == 0 {
				fmt.Fprintf(&out, `<text x="10" y="%d">%s</text>`+"\n", y+9, html.EscapeString(r.name))
			}
			fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end" fill="#777">%s</text>`+"\n", barsFrom-6, y+9, html.EscapeString(c.unit))
			y = c.draw(&out, y) + 6
		}
		y += 4
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="10">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#fff"/>`+"\n%s</svg>\n", picture, y+4, out.String())
}

// draw draws the bars of one figure from y down, and returns where they end.
func (c column) draw(out *strings.Builder, y int) int {
	most := 0.0
	for kind := range c.samples {
		for _, s := range c.samples[kind] {
			most = max(most, s)
		}
	}
	for kind, all := range c.samples {
		if len(all) == 0 || most == 0 {
			continue
		}
		at := func(f float64) float64 { return barsFrom + f/most*(barsTo-barsFrom) }
		middle := c.samples.median(kind)
		fmt.Fprintf(out, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", barsFrom, y, at(middle)-barsFrom, barHeight-1, colours[kind])
		fmt.Fprintf(out, `<path d="M%.1f %dH%.1f" stroke="#333"/>`+"\n", at(slices.Min(all)), y+barHeight/2, at(slices.Max(all)))
		fmt.Fprintf(out, `<text x="%d" y="%d">%s</text>`+"\n", barsTo+8, y+barHeight-1, number(middle))
		y += barHeight
	}
	return y
}

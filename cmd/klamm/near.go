package main

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean is a question that names what is nearest to a mistyped name, with
// a space in front, or nothing where nothing is near.
func didYouMean(name string, names []string) string {
	near := nearest(name, names)
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf(" Did you mean %s?", strings.Join(near, " or "))
}

// nearest gives the names that a few typing errors away from name, or that it
// begins, nearest first, three at most.
func nearest(name string, names []string) []string {
	distances := map[string]int{}
	var near []string
	for _, candidate := range names {
		d := editDistance(strings.ToLower(name), strings.ToLower(candidate))
		if d <= 1+len(name)/4 || strings.HasPrefix(candidate, name) {
			distances[candidate] = d
			near = append(near, candidate)
		}
	}
	slices.SortFunc(near, func(a, b string) int {
		if distances[a] != distances[b] {
			return distances[a] - distances[b]
		}
		return strings.Compare(a, b)
	})
	return near[:min(3, len(near))]
}

// editDistance counts the bytes to insert, drop or replace to turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

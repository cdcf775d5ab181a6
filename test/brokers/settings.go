package brokers

import (
	"maps"
	"slices"
)

// merged returns the first map with the second one over it.
func merged(under, over map[string]string) map[string]string {
	m := maps.Clone(under)
	maps.Copy(m, over)
	return m
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

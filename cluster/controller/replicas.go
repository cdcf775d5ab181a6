package controller

import "slices"

// Lists of brokers are never changed in place: they are shared.

// without returns the brokers of list that keep the order and are in none of the
// others; nil for none.
func without(list []int32, others ...[]int32) []int32 {
	var left []int32
	for _, id := range list {
		if !slices.ContainsFunc(others, func(o []int32) bool { return slices.Contains(o, id) }) {
			if left == nil {
				left = make([]int32, 0, len(list))
			}
			left = append(left, id)
		}
	}
	return left
}

// within returns the brokers of list that are in at least one of the others.
func within(list []int32, others ...[]int32) []int32 {
	return without(list, without(list, others...))
}

func containsAll(list, part []int32) bool { return len(without(part, list)) == 0 }

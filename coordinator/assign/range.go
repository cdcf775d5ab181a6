package assign

import (
	"cmp"
	"slices"
	"strings"

	"github.com/klamm-io/klamm/protocol"
)

// Range gives each member a range of every topic that it subscribes to: of topics
// with as many partitions and subscribers it has the same ones, so that they can
// be joined. The first members have one partition more where they do not divide
// evenly. Static members come first, by instance id, and so keep their ranges when
// they restart.
func Range(members []Member, topics Topics) map[string]Partitions {
	ordered := slices.Clone(members)
	slices.SortFunc(ordered, func(a, b Member) int {
		return cmp.Or(compareBool(a.InstanceID == "", b.InstanceID == ""), strings.Compare(a.InstanceID, b.InstanceID), strings.Compare(a.ID, b.ID))
	})
	subscribers := map[protocol.TopicID]int{}
	for _, m := range ordered {
		for _, t := range m.Topics {
			subscribers[t]++
		}
	}
	next, served := map[protocol.TopicID]int{}, map[protocol.TopicID]int{}
	given := make(map[string]Partitions, len(ordered))
	for _, m := range ordered {
		mine := Partitions{}
		for _, t := range m.Topics {
			size := topics[t] / subscribers[t]
			if served[t] < topics[t]%subscribers[t] {
				size++
			}
			for p := next[t]; p < next[t]+size; p++ {
				mine[t] = append(mine[t], int32(p))
			}
			next[t] += size
			served[t]++
		}
		given[m.ID] = mine
	}
	return given
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

package controller

import (
	"math"
	"slices"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// maxSweep is how many partitions one decision changes at most, so that it fits
// into a segment of the metadata log and holds up no other decision for long. What
// is left comes in the decisions after it.
const maxSweep = 200_000

// sweep changes every partition that something which happened to the cluster
// concerns. There is no index of the partitions by broker: to look at each of a
// million takes less time than one of them would wait for its disk, and an index
// would cost memory all the time.
type sweep struct {
	img    *metadata.Image
	rules  *rulebook
	active func(id int32) bool
	left   int   // partitions that it may still change
	draft  draft // of the partition at hand, to spare the memory of 100,000 others
}

func newSweep(img *metadata.Image, in Inputs) *sweep {
	return &sweep{img: img, rules: newRulebook(img, in), active: img.Active, left: maxSweep}
}

// whole lifts the limit, where half of the changes would be wrong.
func (s *sweep) whole() *sweep {
	s.left = math.MaxInt
	return s
}

// with takes the broker for active or not, whatever the image says.
func (s *sweep) with(broker int32, active bool) *sweep {
	s.active = func(id int32) bool {
		if id == broker {
			return active
		}
		return s.img.Active(id)
	}
	return s
}

// run drafts the partitions that are concerned. more says that there may be others
// beyond what one decision holds.
func (s *sweep) run(concerned func(*metadata.Partition) bool, change func(*draft)) (records []metadata.Record, more bool) {
	lists := interned{}
	for t := range s.img.Topics() {
		if s.left == 0 {
			break
		}
		if changes := s.topic(t, concerned, change, lists); len(changes) > 0 {
			records = append(records, &metadata.PartitionsChanged{TopicID: t.ID, Changes: changes})
		}
	}
	return records, s.left == 0
}

func (s *sweep) topic(t *metadata.Topic, concerned func(*metadata.Partition) bool, change func(*draft), lists interned) []metadata.PartitionChange {
	var changes []metadata.PartitionChange
	var r rules
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if s.left == 0 || !concerned(p) {
			continue
		}
		if changes == nil {
			r = s.rules.of(t.Name)
			changes = make([]metadata.PartitionChange, 0, len(t.Partitions)-i)
		}
		s.draft = newDraft(p, r, s.active)
		change(&s.draft)
		if next, changed := s.draft.finish(); changed {
			next.ISR = lists.intern(next.ISR)
			changes = append(changes, metadata.PartitionChange{Index: int32(i), Partition: next})
			s.left--
		}
	}
	return changes
}

// interned lets equal lists share memory.
type interned map[[3]int32][]int32

func (m interned) intern(list []int32) []int32 {
	if len(list) > 3 {
		return list
	}
	key := [3]int32{-1, -1, -1}
	copy(key[:], list)
	if shared, found := m[key]; found {
		return shared
	}
	m[key] = list
	return list
}

func inISR(broker int32) func(*metadata.Partition) bool {
	return func(p *metadata.Partition) bool { return slices.Contains(p.ISR, broker) }
}

func leaderless(p *metadata.Partition) bool { return p.Leader < 0 }

// leads reports whether the broker leads any partition.
func leads(img *metadata.Image, broker int32) bool {
	for t := range img.Topics() {
		if slices.ContainsFunc(t.Partitions, func(p metadata.Partition) bool { return p.Leader == broker }) {
			return true
		}
	}
	return false
}

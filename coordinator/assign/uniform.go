package assign

import "github.com/klamm-io/klamm/protocol"

// Uniform spreads partitions evenly, and moves as few as that takes. Where all
// members subscribe to the same topics, none has two partitions more than another.
func Uniform(members []Member, topics Topics) map[string]Partitions {
	if len(members) == 0 {
		return map[string]Partitions{}
	}
	if alike(members) {
		return newEven(members, topics).assign()
	}
	return newMixed(members, topics).assign()
}

// partition is one partition of a topic.
type partition struct {
	topic protocol.TopicID
	index int32
}

// even is the assignment of a group in which all subscribe to the same.
type even struct {
	members  []Member
	topics   Topics
	given    map[string]Partitions
	owned    map[partition]bool // that somebody has and did not lose or keep yet
	free     []partition        // that nobody has, or that somebody has too many of
	quota    int                // that every member has at least
	extra    int                // how many members may still have one more
	unfilled []unfilled
}

type unfilled struct {
	member string
	lacks  int
}

func newEven(members []Member, topics Topics) *even {
	e := &even{members: members, topics: topics, given: make(map[string]Partitions, len(members)), owned: map[partition]bool{}}
	for _, m := range members {
		for t, list := range m.Owned {
			for _, p := range list {
				e.owned[partition{t, p}] = true
			}
		}
	}
	total := 0
	for _, t := range members[0].Topics {
		total += topics[t]
		for p := range int32(topics[t]) {
			if !e.owned[partition{t, p}] {
				e.free = append(e.free, partition{t, p})
			}
		}
	}
	e.quota, e.extra = total/len(members), total%len(members)
	return e
}

func (e *even) assign() map[string]Partitions {
	for i, m := range e.members {
		e.keep(m, len(e.members)-i)
	}
	for _, u := range e.unfilled {
		for _, p := range e.free[:min(u.lacks, len(e.free))] {
			e.given[u.member].Add(p.topic, p.index)
		}
		e.free = e.free[min(u.lacks, len(e.free)):]
	}
	return e.given
}

// keep lets a member keep what it has, up to its share. One member of those left
// may have one more as long as there are extra ones; a member that does not fill
// its share leaves the extra one to others while there are enough of them.
func (e *even) keep(m Member, left int) {
	share, mayHaveExtra := e.quota, e.extra > 0
	if mayHaveExtra {
		share++
	}
	mine := Partitions{}
	for _, t := range m.Topics {
		for _, p := range m.Owned[t] {
			this := partition{t, p}
			if !e.owned[this] || int(p) >= e.topics[t] {
				continue
			}
			delete(e.owned, this)
			if share > 0 {
				mine[t] = append(mine[t], p)
				share--
			} else {
				e.free = append(e.free, this)
			}
		}
	}
	e.given[m.ID] = mine
	if share > 0 && mayHaveExtra && left > e.extra {
		share--
		mayHaveExtra = false
	}
	if share > 0 {
		e.unfilled = append(e.unfilled, unfilled{m.ID, share})
	}
	if mayHaveExtra {
		e.extra--
	}
}

package assign

import (
	"cmp"
	"maps"
	"slices"

	"github.com/klamm-io/klamm/protocol"
)

// maxRounds bounds how often the topics are gone through to even out the members'
// loads. Each round about halves what is uneven.
const maxRounds = 16

// mixed is the assignment of a group whose members subscribe to different topics.
// Members are known by their index.
type mixed struct {
	members     []Member
	topics      Topics
	subscribers map[protocol.TopicID][]int
	owners      map[protocol.TopicID][]int // by partition, -1 for none
	load        []int                      // partitions of each member
}

func newMixed(members []Member, topics Topics) *mixed {
	m := &mixed{
		members: members, topics: topics, load: make([]int, len(members)),
		subscribers: map[protocol.TopicID][]int{}, owners: map[protocol.TopicID][]int{},
	}
	for i, member := range members {
		for _, t := range member.Topics {
			m.subscribers[t] = append(m.subscribers[t], i)
		}
	}
	for t := range m.subscribers {
		m.owners[t] = slices.Repeat([]int{-1}, topics[t])
	}
	return m
}

func (m *mixed) assign() map[string]Partitions {
	m.keep()
	sorted := slices.SortedFunc(maps.Keys(m.subscribers), m.compareTopics)
	for _, t := range sorted {
		m.fill(t)
	}
	m.balance(slices.DeleteFunc(sorted, func(t protocol.TopicID) bool { return len(m.subscribers[t]) < 2 }))
	given := make(map[string]Partitions, len(m.members))
	for _, member := range m.members {
		given[member.ID] = Partitions{}
	}
	for t, owners := range m.owners {
		for p, owner := range owners {
			mine := given[m.members[owner].ID]
			mine[t] = append(mine[t], int32(p))
		}
	}
	return given
}

// keep lets members keep what they have of topics that they subscribe to.
func (m *mixed) keep() {
	for i, member := range m.members {
		for _, t := range member.Topics {
			for _, p := range member.Owned[t] {
				if int(p) < len(m.owners[t]) && m.owners[t][p] < 0 {
					m.owners[t][p] = i
					m.load[i]++
				}
			}
		}
	}
}

// compareTopics puts those first of which each subscriber has most, then those
// with fewer subscribers.
func (m *mixed) compareTopics(a, b protocol.TopicID) int {
	ofA, ofB := len(m.subscribers[a]), len(m.subscribers[b])
	return cmp.Or(cmp.Compare(m.topics[b]*ofA, m.topics[a]*ofB), cmp.Compare(ofA, ofB), compareIDs(a, b))
}

// fill gives a topic's free partitions to the subscribers that have least.
func (m *mixed) fill(t protocol.TopicID) {
	for p, owner := range m.owners[t] {
		if owner < 0 {
			m.give(t, p, m.leastLoaded(t))
		}
	}
}

func (m *mixed) give(t protocol.TopicID, p, to int) {
	if from := m.owners[t][p]; from >= 0 {
		m.load[from]--
	}
	m.owners[t][p] = to
	m.load[to]++
}

func (m *mixed) leastLoaded(t protocol.TopicID) int {
	return slices.MinFunc(m.subscribers[t], func(a, b int) int { return cmp.Or(cmp.Compare(m.load[a], m.load[b]), cmp.Compare(a, b)) })
}

// balance goes through the topics until nothing can be evened out any more.
func (m *mixed) balance(topics []protocol.TopicID) {
	for range maxRounds {
		moved := false
		for _, t := range topics {
			moved = m.even(t) || moved
		}
		if !moved {
			return
		}
	}
}

// even moves partitions of one topic from the subscribers that have most to those
// that have least, as long as that makes them more alike.
func (m *mixed) even(t protocol.TopicID) (moved bool) {
	of := map[int][]int{} // partitions by owner
	for p, owner := range m.owners[t] {
		of[owner] = append(of[owner], p)
	}
	for {
		least := m.leastLoaded(t)
		most := m.mostLoaded(t, of)
		if most < 0 || m.load[most]-m.load[least] <= 1 {
			return moved
		}
		last := len(of[most]) - 1
		p := of[most][last]
		of[most], of[least] = of[most][:last], append(of[least], p)
		m.give(t, p, least)
		moved = true
	}
}

// mostLoaded is the subscriber that has most, among those that have partitions of
// the topic; -1 for none.
func (m *mixed) mostLoaded(t protocol.TopicID, of map[int][]int) int {
	most := -1
	for _, i := range m.subscribers[t] {
		if len(of[i]) > 0 && (most < 0 || m.load[i] >= m.load[most]) {
			most = i
		}
	}
	return most
}

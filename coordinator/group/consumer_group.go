package group

import (
	"maps"
	"slices"

	"github.com/klamm-io/klamm/coordinator/assign"
	"github.com/klamm-io/klamm/protocol"
)

// consumerGroup is a group of the new protocol (KIP-848) as its records say. The
// broker decides who reads what: a target assignment, towards which each member is
// led in steps that never give a partition to one before the other let go of it.
//
// Epochs only grow: the group's with each change of members, subscriptions or
// topics; the assignment's is that of the group for which the target was made; a
// member's is that of the target that it has reached or is being led to.
//
// What hangs on a group is never changed in place, only replaced, so that a clone
// may share it.
type consumerGroup struct {
	epoch           int32
	metadataHash    int64 // of what the topics look like that members subscribe to
	assignmentEpoch int32 // -1 before there was a target
	assignedAt      int64 // when the target was made, in ms since 1970; 0 where that is not known
	members         map[string]*consumerMember
	static          map[string]string // member ids by instance id
	target          map[string]assign.Partitions
	regexes         map[string]resolved
	oldMetadata     bool // there is a record of Kafka 4.0 that is not used any more
}

// resolved are the topics that a regular expression stands for.
type resolved struct {
	topics  []string // sorted
	version int64    // of the cluster in which they were looked for
	at      int64    // when, in ms since 1970
}

func newConsumerGroup() *consumerGroup {
	return &consumerGroup{
		epoch: 1, assignmentEpoch: -1, members: map[string]*consumerMember{}, static: map[string]string{},
		target: map[string]assign.Partitions{}, regexes: map[string]resolved{},
	}
}

func (g *consumerGroup) clone() *consumerGroup {
	c := *g
	c.members, c.static = maps.Clone(g.members), maps.Clone(g.static)
	c.target, c.regexes = maps.Clone(g.target), maps.Clone(g.regexes)
	return &c
}

// String is the state's name that clients know.
func (g *consumerGroup) String() string {
	switch {
	case len(g.members) == 0:
		return "Empty"
	case g.epoch > g.assignmentEpoch:
		return "Assigning"
	}
	for _, m := range g.members {
		if !m.reached(g.assignmentEpoch) {
			return "Reconciling"
		}
	}
	return "Stable"
}

func (g *consumerGroup) put(m *consumerMember) {
	if old := g.members[m.id]; old != nil && old.instanceID != nil {
		delete(g.static, *old.instanceID)
	}
	g.members[m.id] = m
	if m.instanceID != nil {
		g.static[*m.instanceID] = m.id
	}
}

func (g *consumerGroup) remove(id string) {
	if m := g.members[id]; m != nil && m.instanceID != nil && g.static[*m.instanceID] == id {
		delete(g.static, *m.instanceID)
	}
	delete(g.members, id)
}

// staticMember is the member of that instance id, nil for none.
func (g *consumerGroup) staticMember(instanceID string) *consumerMember {
	return g.members[g.static[instanceID]]
}

// sorted lists the members by id.
func (g *consumerGroup) sorted() []*consumerMember {
	all := make([]*consumerMember, 0, len(g.members))
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		all = append(all, g.members[id])
	}
	return all
}

// using counts the members that subscribe by the regular expression.
func (g *consumerGroup) using(regex string) (n int) {
	for _, m := range g.members {
		if m.regex == regex {
			n++
		}
	}
	return n
}

// subscribes reports whether the member subscribes to the topic, by name or by
// what its regular expression was found to stand for.
func (g *consumerGroup) subscribes(m *consumerMember, topic string) bool {
	_, named := slices.BinarySearch(m.topics, topic)
	if named || m.regex == "" {
		return named
	}
	_, matched := slices.BinarySearch(g.regexes[m.regex].topics, topic)
	return matched
}

// topics lists the names that anyone subscribes to, sorted.
func (g *consumerGroup) topics() []string {
	all := map[string]bool{}
	for _, m := range g.members {
		for _, t := range m.topics {
			all[t] = true
		}
		for _, t := range g.regexes[m.regex].topics {
			all[t] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// heldByOthers are the partitions that members other than the one named have or
// have yet to let go of.
func (g *consumerGroup) heldByOthers(id string) map[protocol.TopicID]map[int32]bool {
	all := map[protocol.TopicID]map[int32]bool{}
	for other, m := range g.members {
		if other == id {
			continue
		}
		for _, holds := range []held{m.assigned, m.revoking} {
			for topic, partitions := range holds {
				if all[topic] == nil {
					all[topic] = map[int32]bool{}
				}
				for p := range partitions {
					all[topic][p] = true
				}
			}
		}
	}
	return all
}

// preferred is the assignor that most members ask for, the standard one where
// nobody asks; of two that are asked for as often, the first by name.
func (g *consumerGroup) preferred(standard string) string {
	votes := map[string]int{}
	for _, m := range g.members {
		if m.assignor != nil {
			votes[*m.assignor]++
		}
	}
	best := standard
	for i, name := range slices.Sorted(maps.Keys(votes)) {
		if i == 0 || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// classicMembers counts the members that speak the classic protocol.
func (g *consumerGroup) classicMembers() (n int) {
	for _, m := range g.members {
		if m.classic != nil {
			n++
		}
	}
	return n
}

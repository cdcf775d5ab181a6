package assign

import (
	"bytes"
	"slices"
	"strings"

	"github.com/klamm-io/klamm/protocol"
)

// Partitions are partitions by topic, each list sorted. No list is empty.
type Partitions map[protocol.TopicID][]int32

// Clone returns a copy that shares nothing.
func (p Partitions) Clone() Partitions {
	c := make(Partitions, len(p))
	for id, list := range p {
		c[id] = slices.Clone(list)
	}
	return c
}

// Equal reports whether both hold the same.
func (p Partitions) Equal(other Partitions) bool {
	if len(p) != len(other) {
		return false
	}
	for id, list := range p {
		if !slices.Equal(list, other[id]) {
			return false
		}
	}
	return true
}

// Count is how many partitions there are.
func (p Partitions) Count() (n int) {
	for _, list := range p {
		n += len(list)
	}
	return n
}

// Member is what an assignor knows of a member.
type Member struct {
	ID         string
	InstanceID string             // empty for a dynamic member
	Topics     []protocol.TopicID // that it subscribes to and that exist; sorted
	Owned      Partitions         // what it is to have until now; not changed
}

// Topics is how many partitions each topic has.
type Topics map[protocol.TopicID]int

// Assignor gives each member its partitions. Members come sorted by id.
type Assignor func(members []Member, topics Topics) map[string]Partitions

// Named returns the assignor of that name, in any case, or of Kafka's class of
// that name.
func Named(name string) (canonical string, assignor Assignor, found bool) {
	switch {
	case strings.EqualFold(name, "uniform"), name == kafkaPackage+"UniformAssignor":
		return "uniform", Uniform, true
	case strings.EqualFold(name, "range"), name == kafkaPackage+"RangeAssignor":
		return "range", Range, true
	}
	return "", nil, false
}

const kafkaPackage = "org.apache.kafka.coordinator.group.assignor."

// compareIDs orders topics.
func compareIDs(a, b protocol.TopicID) int { return bytes.Compare(a[:], b[:]) }

// alike reports whether all members subscribe to the same topics.
func alike(members []Member) bool {
	for _, m := range members[1:] {
		if !slices.Equal(m.Topics, members[0].Topics) {
			return false
		}
	}
	return true
}

// Add puts a partition among the others.
func (p Partitions) Add(topic protocol.TopicID, partition int32) {
	list := p[topic]
	at, found := slices.BinarySearch(list, partition)
	if !found {
		p[topic] = slices.Insert(list, at, partition)
	}
}

package group

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
	"github.com/klamm-io/klamm/protocol"
)

// memberState is where a member is on its way to the target, numbered as in the
// records.
type memberState int8

const (
	memberStable     memberState = 0
	memberUnrevoked  memberState = 1 // it has yet to let go of partitions
	memberUnreleased memberState = 2 // others have yet to let go of what it is to have
)

// held are partitions, each with the epoch at which the member got it.
type held map[protocol.TopicID]map[int32]int32

// consumerMember is a member of a consumer group. It is not changed once it is in
// the group: a changed copy takes its place.
type consumerMember struct {
	id               string
	instanceID       *string // of a static member
	rackID           *string
	client           Client
	rebalanceTimeout time.Duration
	topics           []string // subscribed to by name, sorted
	regex            string   // subscribed to by regular expression; empty for none
	assignor         *string  // that it asks for
	classic          *classicMember

	epoch, previousEpoch int32
	state                memberState
	assigned             held // what it may read
	revoking             held // what it is to let go of
}

// classicMember is what is known besides of a member that speaks the classic
// protocol.
type classicMember struct {
	sessionTimeout time.Duration
	protocols      []kmsg.JoinGroupRequestProtocol // that it knows, the one it likes best first
}

// Epochs by which a member says that it leaves.
const (
	leaveEpoch       = -1
	leaveStaticEpoch = -2 // it will be back
)

func (m *consumerMember) clone() *consumerMember { c := *m; return &c }

// reached reports whether the member has what the target of that epoch gives it.
func (m *consumerMember) reached(epoch int32) bool {
	return m.state == memberStable && m.epoch == epoch
}

func (m *consumerMember) equal(other *consumerMember) bool { return reflect.DeepEqual(m, other) }

// advance takes the member to another epoch.
func (m *consumerMember) advance(epoch int32) { m.epoch, m.previousEpoch = epoch, m.epoch }

// holds is what the member has, and what it has yet to let go of.
func (m *consumerMember) holds() assign.Partitions {
	all := m.assigned.only()
	for topic, list := range m.revoking.only() {
		for _, p := range list {
			all.Add(topic, p)
		}
	}
	return all
}

// only gives the partitions without the epochs.
func (h held) only() assign.Partitions {
	p := make(assign.Partitions, len(h))
	for topic, partitions := range h {
		p[topic] = slices.Sorted(maps.Keys(partitions))
	}
	return p
}

// gotAt is the same partitions, all got at one epoch.
func gotAt(p assign.Partitions, epoch int32) held {
	h := make(held, len(p))
	for topic, list := range p {
		h[topic] = make(map[int32]int32, len(list))
		for _, partition := range list {
			h[topic][partition] = epoch
		}
	}
	return h
}

func (h held) has(topic protocol.TopicID, partition int32) bool {
	_, found := h[topic][partition]
	return found
}

func (h held) put(topic protocol.TopicID, partition, epoch int32) {
	if h[topic] == nil {
		h[topic] = map[int32]int32{}
	}
	h[topic][partition] = epoch
}

// sortedTopics lists the topics in the order in which they are written.
func sortedTopics[V any](byTopic map[protocol.TopicID]V) []protocol.TopicID {
	return slices.SortedFunc(maps.Keys(byTopic), func(a, b protocol.TopicID) int { return slices.Compare(a[:], b[:]) })
}

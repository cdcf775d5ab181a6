package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
	"github.com/klamm-io/klamm/protocol"
)

// reconciliation leads one member a step towards its target. A member first lets
// go of what it is not to have any more; when it says that it did, it goes to the
// target's epoch and gets what nobody else holds; and it gets the rest as others
// let go.
type reconciliation struct {
	member     *consumerMember
	target     assign.Partitions
	epoch      int32 // of the target
	changed    bool  // the member's subscription just changed
	subscribed func(protocol.TopicID) bool
	taken      func(protocol.TopicID, int32) bool // another member holds it
	// owned is what the member says it has; nil where it did not say.
	owned []kmsg.ConsumerGroupHeartbeatRequestTopic
}

// step returns the member after the step, the same one where nothing changes.
func (r *reconciliation) step() (*consumerMember, error) {
	m := r.member
	switch {
	case m.state == memberStable && m.epoch != r.epoch, m.state == memberUnreleased:
		return r.next(m.epoch), nil
	case m.state == memberStable && r.changed:
		return r.unsubscribe(), nil
	case m.state == memberUnrevoked && !r.stillOwns(m.revoking):
		return r.next(m.epoch), nil
	case m.state == memberUnrevoked && r.changed:
		return r.unsubscribe(), nil
	case m.state == memberStable, m.state == memberUnrevoked:
		return m, nil
	}
	// A newer version wrote a state that is not known here. The member starts anew.
	if r.owned == nil || len(r.owned) > 0 {
		return nil, kerr.FencedMemberEpoch
	}
	return r.next(r.epoch), nil
}

// stillOwns reports whether the member says that it has any of these; one that
// does not say has them all.
func (r *reconciliation) stillOwns(these held) bool {
	if r.owned == nil {
		return true
	}
	for _, t := range r.owned {
		for _, p := range t.Partitions {
			if these.has(t.TopicID, p) {
				return true
			}
		}
	}
	return false
}

// next compares what the member has with its target.
func (r *reconciliation) next(epoch int32) *consumerMember {
	m := r.member.clone()
	keeps, loses, gets := held{}, held{}, held{}
	for topic, partitions := range m.assigned {
		wanted := r.wanted(topic)
		for p, since := range partitions {
			if wanted[p] {
				keeps.put(topic, p, since)
			} else {
				loses.put(topic, p, since)
			}
		}
	}
	waits := false
	for topic := range r.target {
		for p := range r.wanted(topic) {
			switch {
			case keeps.has(topic, p):
			case r.taken(topic, p):
				waits = true
			default:
				gets.put(topic, p, r.epoch)
			}
		}
	}
	if len(loses) > 0 && r.stillOwns(loses) {
		m.state, m.assigned, m.revoking = memberUnrevoked, keeps, loses
		m.advance(epoch)
		return m
	}
	for topic, partitions := range gets {
		for p, since := range partitions {
			keeps.put(topic, p, since)
		}
	}
	m.state, m.assigned, m.revoking = memberStable, keeps, held{}
	if waits {
		m.state = memberUnreleased
	}
	m.advance(r.epoch)
	return m
}

// wanted is what the target gives the member of a topic that it still subscribes
// to.
func (r *reconciliation) wanted(topic protocol.TopicID) map[int32]bool {
	if !r.subscribed(topic) {
		return nil
	}
	all := make(map[int32]bool, len(r.target[topic]))
	for _, p := range r.target[topic] {
		all[p] = true
	}
	return all
}

// unsubscribe takes away what the member does not subscribe to any more, without
// waiting for a new target.
func (r *reconciliation) unsubscribe() *consumerMember {
	m := r.member.clone()
	keeps, loses := held{}, held{}
	for topic, partitions := range r.member.revoking {
		for p, since := range partitions {
			loses.put(topic, p, since)
		}
	}
	changed := false
	for topic, partitions := range m.assigned {
		to := keeps
		if !r.subscribed(topic) {
			to, changed = loses, true
		}
		for p, since := range partitions {
			to.put(topic, p, since)
		}
	}
	if !changed {
		return r.member
	}
	m.assigned = keeps
	if r.stillOwns(loses) {
		m.state, m.revoking = memberUnrevoked, loses
	}
	m.advance(m.epoch)
	return m
}

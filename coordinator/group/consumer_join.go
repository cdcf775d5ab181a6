package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// draftForMember begins a step of a member. One that joins makes a group that is
// not there, takes over a classic one without members, and turns one that has
// members into a consumer group if that may be.
func (c *Coordinator) draftForMember(id string, joins bool, now time.Time, out *Output) (*draft, error) {
	g := c.groups[id]
	switch {
	case g != nil && g.consumer != nil:
		return c.draftOf(id, g.consumer, now), nil
	case !joins && g == nil:
		return nil, fmt.Errorf("Consumer group %s not found.: %w", id, kerr.GroupIDNotFound)
	case !joins:
		return nil, fmt.Errorf("Group %s is not a consumer group: %w", id, kerr.GroupIDNotFound)
	case g == nil:
		return c.draftOf(id, newConsumerGroup(), now), nil
	case len(g.members) == 0 && g.state == empty:
		d := c.draftOf(id, newConsumerGroup(), now)
		d.write(groupTombstone(id))
		return d, nil
	}
	return c.upgrade(g, now, out)
}

// full reports whether the group has no room for one that is no member.
func (d *draft) full(member string) bool {
	return len(d.group.members) >= d.config.Consumer.MaxSize && d.group.members[member] == nil
}

// claim is who a client says it is.
type claim struct {
	id         string
	epoch      int32
	instanceID *string
	joins      bool
	classic    bool // it speaks the classic protocol, where the generation is checked later
	owned      []kmsg.ConsumerGroupHeartbeatRequestTopic
}

// memberFor finds the member, or makes it if it joins.
func (d *draft) memberFor(who claim) (*consumerMember, error) {
	if who.instanceID != nil {
		return d.staticMemberFor(who)
	}
	m := d.group.members[who.id]
	switch {
	case m == nil && !who.joins:
		return nil, fmt.Errorf("%s is not a member of group %s: %w", who.id, d.id, kerr.UnknownMemberID)
	case m == nil:
		return d.group.memberOrNew(who.id), nil
	case who.classic:
		return m, nil
	}
	return m, m.checkEpoch(who.epoch, who.owned)
}

// staticMemberFor finds a static member. One that joins takes over from its former
// instance, if that has said that it leaves.
func (d *draft) staticMemberFor(who claim) (*consumerMember, error) {
	old := d.group.staticMember(*who.instanceID)
	switch {
	case who.joins && old == nil:
		return d.group.memberOrNew(who.id), nil
	case who.joins && !who.classic && old.classic == nil && old.epoch != leaveStaticEpoch:
		return nil, fmt.Errorf("instance %s is member %s until it leaves: %w", *who.instanceID, old.id, kerr.UnreleasedInstanceID)
	case who.joins:
		return d.replace(old, who.id), nil
	}
	if err := fenced(old, who); err != nil {
		return nil, err
	}
	if who.classic {
		return old, nil
	}
	return old, old.checkEpoch(who.epoch, who.owned)
}

// fenced reports why a client is not the static member that it says it is.
func fenced(m *consumerMember, who claim) error {
	switch {
	case m == nil:
		return fmt.Errorf("there is no instance %s: %w", *who.instanceID, kerr.UnknownMemberID)
	case m.id != who.id:
		return fmt.Errorf("instance %s is member %s now: %w", *who.instanceID, m.id, kerr.FencedInstanceID)
	}
	return nil
}

// replace gives a static member's place, with all that it has, to its new
// instance.
func (d *draft) replace(old *consumerMember, id string) *consumerMember {
	m := old.clone()
	m.id, m.epoch, m.previousEpoch = id, 0, 0
	target := d.group.target[old.id].Clone()
	d.eraseMember(old.id)
	d.putMember(m)
	d.putTarget(id, target)
	d.putCurrent(m)
	return m
}

// checkEpoch holds a member to its epoch. It may be one behind if the last answer
// did not reach it, and it has nothing that it should not.
func (m *consumerMember) checkEpoch(epoch int32, owned []kmsg.ConsumerGroupHeartbeatRequestTopic) error {
	switch {
	case epoch == 0 || epoch == m.epoch:
		return nil
	case epoch == m.previousEpoch && epoch < m.epoch && m.holdsAll(owned):
		return nil
	}
	return fmt.Errorf("member %s is at epoch %d, not %d; it has to let go of everything and join again: %w", m.id, m.epoch, epoch, kerr.FencedMemberEpoch)
}

// holdsAll reports whether these are all assigned to the member. One that does not
// say what it has might have anything.
func (m *consumerMember) holdsAll(owned []kmsg.ConsumerGroupHeartbeatRequestTopic) bool {
	return owned != nil && !slices.ContainsFunc(owned, func(t kmsg.ConsumerGroupHeartbeatRequestTopic) bool {
		return slices.ContainsFunc(t.Partitions, func(p int32) bool { return !m.assigned.has(t.TopicID, p) })
	})
}

package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
)

// downgradeWithout makes the group a classic one if all members but these speak
// the classic protocol, and that may be. Those that are left join again.
func (d *draft) downgradeWithout(leaving []*consumerMember) bool {
	left, classic := len(d.group.members)-len(leaving), d.group.classicMembers()
	for _, m := range leaving {
		if m.classic != nil {
			classic--
		}
	}
	if left == 0 || classic != left || !d.config.Consumer.Downgrade || left > d.config.MaxSize {
		return false
	}
	gone := map[string]bool{}
	for _, m := range leaving {
		gone[m.id] = true
	}
	d.turnClassic(gone, true)
	return true
}

// turnClassic makes the group the classic one of its members without those that
// are gone. Their assignments are what they have now, which may be more than their
// targets: should the group change its kind again before they join, it must be known
// what they read.
func (d *draft) turnClassic(gone map[string]bool, rebalance bool) {
	g := newGroup(d.id, d.now)
	g.generation, g.protocolType = d.group.epoch, consumerProtocol
	for _, m := range d.group.sorted() {
		if !gone[m.id] {
			g.add(&member{
				id: m.id, instanceID: m.instanceID, client: m.client, sessionTimeout: m.classic.sessionTimeout,
				rebalanceTimeout: m.rebalanceTimeout, protocols: m.classic.protocols, deadline: d.now.Add(m.classic.sessionTimeout),
			})
		}
	}
	g.protocol = g.choose()
	for m := range g.each {
		m.assignment = d.classicAssignment(d.group.members[m.id].holds(), m.metadata(g.protocol))
	}
	g.become(stable, d.now)
	d.eraseGroup()
	d.write(g.metadataRecord(d.now))
	d.turned = g
	if rebalance {
		d.whenCounts(func(g *group) { d.prepare(g, d.now, &Output{}) }) // nobody waits yet
	}
}

// classicAssignment is an assignment as classic members read it, in the version of
// their subscription.
func (c *Coordinator) classicAssignment(p assign.Partitions, subscription []byte) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	if s, err := readSubscription(subscription); err == nil {
		a.Version = s.Version
	}
	for _, id := range sortedTopics(p) {
		if t, found := c.cluster.TopicByID(id); found {
			a.Topics = append(a.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: t.Name, Partitions: p[id]})
		}
	}
	return a.AppendTo(nil)
}

// leaveEmptyConsumer makes a consumer group without members a classic one, because
// a classic member joins.
func (c *Coordinator) leaveEmptyConsumer(g *group, now time.Time, out *Output) {
	d := c.draftOf(g.id, g.consumer, now)
	d.eraseGroup()
	g.consumer, g.watched = nil, nil
	out.write(d.records, func(error) []Reply { return nil }) // if it fails, the classic group's first record says the same
}

package group

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
)

// upgrade makes a classic group with members a consumer group, because a member of
// the new protocol joins. The classic members stay: their requests are translated
// from then on. Who waits for a rebalance is told to begin another.
func (c *Coordinator) upgrade(g *group, now time.Time, out *Output) (*draft, error) {
	refuse := func(why string) error {
		return fmt.Errorf("classic group %s cannot become a consumer group: %s: %w", g.id, why, kerr.GroupIDNotFound)
	}
	switch {
	case !c.config.Consumer.Upgrade:
		return nil, refuse("group.consumer.migration.policy does not let it")
	case g.protocolType != consumerProtocol:
		return nil, refuse("its members are not consumers")
	case len(g.members) > c.config.Consumer.MaxSize:
		return nil, refuse("it has more members than consumer groups may have")
	}
	next, err := c.consumerOf(g)
	if err != nil {
		return nil, refuse(err.Error())
	}
	for m := range g.each {
		m.dismiss(m.id, kerr.RebalanceInProgress, out)
	}
	d := c.draftOf(g.id, next, now)
	d.own = true
	d.writeUpgraded()
	return d, nil
}

// writeUpgraded writes all of the group, after the classic group's end.
func (d *draft) writeUpgraded() {
	d.write(groupTombstone(d.id))
	members := d.group.sorted()
	for _, m := range members {
		d.write(memberRecord(d.id, m))
	}
	d.write(epochRecord(d.id, d.group))
	for _, m := range members {
		d.write(targetRecord(d.id, m.id, d.group.target[m.id]))
	}
	d.write(targetEpochRecord(d.id, d.group))
	for _, m := range members {
		d.write(currentRecord(d.id, m))
		d.watch(m, m.classic.sessionTimeout, d.now)
	}
}

// consumerOf is the consumer group that a classic group becomes: its generation is
// the epoch, what the leader assigned the target, which everybody has reached.
func (c *Coordinator) consumerOf(g *group) (*consumerGroup, error) {
	next := newConsumerGroup()
	next.epoch, next.assignmentEpoch = g.generation, g.generation
	agreed := g.protocol
	if agreed == "" {
		agreed = g.choose() // before the first generation
	}
	for classic := range g.each {
		m, target, err := c.consumerMemberOf(classic, agreed, g.generation)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", classic.id, err)
		}
		next.put(m)
		next.target[m.id] = target
	}
	next.metadataHash = c.hashOf(next.topics())
	return next, nil
}

func (c *Coordinator) consumerMemberOf(classic *member, agreed string, generation int32) (*consumerMember, assign.Partitions, error) {
	said, err := readSubscription(classic.metadata(agreed))
	if err != nil {
		return nil, nil, err
	}
	target, err := c.readAssignment(classic.assignment)
	if err != nil {
		return nil, nil, err
	}
	return &consumerMember{
		id: classic.id, instanceID: classic.instanceID, rackID: said.Rack, client: classic.client, rebalanceTimeout: classic.rebalanceTimeout,
		topics: sortedSet(said.Topics), classic: &classicMember{sessionTimeout: classic.sessionTimeout, protocols: classic.protocols},
		epoch: generation, previousEpoch: generation, assigned: gotAt(target, generation), revoking: held{},
	}, target, nil
}

func readSubscription(metadata []byte) (kmsg.ConsumerMemberMetadata, error) {
	said := kmsg.NewConsumerMemberMetadata()
	if err := said.ReadFrom(metadata); err != nil {
		return said, fmt.Errorf("its subscription cannot be read: %w", err)
	}
	return said, nil
}

// errUserData says that a client's own assignor keeps something in an assignment,
// which would be lost.
var errUserData = errors.New("its assignor is not one that the broker could stand in for")

func (c *Coordinator) readAssignment(raw []byte) (assign.Partitions, error) {
	p := assign.Partitions{}
	if len(raw) == 0 {
		return p, nil
	}
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(raw); err != nil {
		return nil, fmt.Errorf("its assignment cannot be read: %w", err)
	}
	if len(a.UserData) > 0 {
		return nil, errUserData
	}
	for _, topic := range a.Topics {
		if t, found := c.cluster.Topic(topic.Topic); found {
			for _, partition := range topic.Partitions {
				p.Add(t.ID, partition) // a topic may be named more than once
			}
		}
	}
	return p, nil
}

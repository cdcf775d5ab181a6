package broker

import (
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// assigned makes this broker's replicas what the metadata says, in a cluster of
// several nodes: d says what changed, and img is how it is now.
//
// Before the metadata shows the broker's registration by this very process nothing is
// led or followed: what it says until then was decided on a process that has ended,
// whose disk may have had more than this one's.
func (n *clusterNode) assigned(img *metadata.Image, d *metadata.Delta) {
	if !n.begun {
		n.noteGone(d)
		if n.begun = n.control.Registered(img); !n.begun {
			return
		}
		n.throttles.setRates(n.broker.config.ReplicationRates(img.BrokerConfig(n.me())))
		n.broker.cordon(img)
		n.assignAll(img)
		return
	}
	for _, t := range d.TopicsDeleted {
		n.dropTopic(t)
	}
	for _, t := range d.TopicsCreated {
		n.assignTopic(img, nil, t)
	}
	for _, change := range d.TopicsChanged {
		n.assignTopic(img, change.Before, change.After)
	}
	for _, r := range d.ConfigsChanged {
		n.reassign(img, r)
	}
	if len(d.BrokersChanged) > 0 {
		n.replicator.Reconsider()
	}
}

// noteGone remembers what was taken from this broker while its process did not run, as
// far as its own copy of the metadata tells.
func (n *clusterNode) noteGone(d *metadata.Delta) {
	for _, t := range d.TopicsDeleted {
		n.goneOf(t, nil)
	}
	for _, change := range d.TopicsChanged {
		n.goneOf(change.Before, change.After)
	}
}

// goneOf compares a topic's replicas; after is nil where the topic was deleted.
func (n *clusterNode) goneOf(before, after *metadata.Topic) {
	for i := range before.Partitions {
		stays := after != nil && slices.Contains(after.Partitions[i].Replicas, n.me())
		if !stays && slices.Contains(before.Partitions[i].Replicas, n.me()) {
			n.gone[protocol.TopicPartition{Topic: before.Name, Partition: int32(i)}] = before.ID
		}
	}
}

// assignAll takes up all that this broker has replicas of: as many logs at a time as
// recovery may use threads.
func (n *clusterNode) assignAll(img *metadata.Image) {
	var g errgroup.Group
	g.SetLimit(n.broker.recoveryThreads())
	known := map[protocol.TopicPartition]bool{}
	for t := range img.Topics() {
		minISR := n.minISR(img, t)
		for i := range t.Partitions {
			if !slices.Contains(t.Partitions[i].Replicas, n.me()) {
				continue
			}
			known[protocol.TopicPartition{Topic: t.Name, Partition: int32(i)}] = true
			g.Go(func() error {
				n.assign(img, t, int32(i), minISR)
				return nil
			})
		}
	}
	_ = g.Wait() // they return none
	n.broker.discard(known, n.gone)
	n.broker.reportStrays(known)
	n.gone = nil
}

// assignTopic takes up what changed of a topic. before is nil for a new one.
func (n *clusterNode) assignTopic(img *metadata.Image, before, t *metadata.Topic) {
	minISR := n.minISR(img, t)
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if before != nil && i < len(before.Partitions) && before.Partitions[i].Equal(p) {
			continue
		}
		if slices.Contains(p.Replicas, n.me()) {
			n.assign(img, t, int32(i), minISR)
		} else if before != nil {
			n.dropPartition(protocol.TopicPartition{Topic: t.Name, Partition: int32(i)})
		}
	}
}

// assign lets the replica of one partition lead or follow, and opens its log first
// where it is new here.
func (n *clusterNode) assign(img *metadata.Image, t *metadata.Topic, index int32, minISR int) {
	tp := protocol.TopicPartition{Topic: t.Name, Partition: index}
	p := n.broker.takeUp(img, t, tp)
	if p == nil {
		return // it is offline, and the log has said why
	}
	n.replicator.Assign(p, assignmentOf(&t.Partitions[index], minISR))
	n.coordinate(p)
}

// assignmentOf is what the metadata says of a partition, for a node at which
// min.insync.replicas is the given number. As long as there is an ELR (KIP-966) the
// ISR is too small, whatever that number is: the active controller goes by its own, and
// elects one of the ELR because nothing was acknowledged without it.
func assignmentOf(p *metadata.Partition, minISR int) replica.Assignment {
	needed := p.MinISR(minISR)
	if len(p.ELR()) > 0 {
		needed = max(needed, len(p.ISR)+1)
	}
	return replica.Assignment{
		Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR,
		MinISR: needed, Recovering: p.Recovering, Offline: p.Offline(),
	}
}

// minISR is the topic's min.insync.replicas. What the topic says of throttles is taken
// up too.
func (n *clusterNode) minISR(img *metadata.Image, t *metadata.Topic) int {
	b := n.broker
	c, err := b.topicSettings(img, t.Name)
	if err != nil {
		b.logger.Error("a topic's configuration cannot be read; one replica in sync counts as enough", "topic", t.Name, "err", err)
		return 1
	}
	n.throttles.setTopic(t.Name, c)
	return c.MinInsyncReplicas
}

// reassign tells the replicas of topics whose configuration changed how many of them
// must be in sync.
func (n *clusterNode) reassign(img *metadata.Image, r metadata.Resource) {
	switch r.Type {
	case metadata.TopicResource("").Type:
		if t, found := img.Topic(r.Name); found {
			n.assignTopic(img, &metadata.Topic{}, t)
		}
	case metadata.BrokerResource("").Type:
		n.throttles.setRates(n.broker.config.ReplicationRates(img.BrokerConfig(n.me())))
		n.broker.cordon(img)
		for t := range img.Topics() {
			n.assignTopic(img, &metadata.Topic{}, t)
		}
	}
}

// coordinate makes this broker the coordinator of what a partition of an internal
// topic holds while it leads that, and of nothing once it does not.
func (n *clusterNode) coordinate(p *replica.Partition) {
	if p.Topic != offsetsTopic && p.Topic != txnTopic {
		return
	}
	if n.coordinators.moved(p.TopicPartition, p.Leads(), p.LeaderEpoch()) {
		n.coordinateAnew(p)
	}
}

func (n *clusterNode) coordinateAnew(p *replica.Partition) {
	b := n.broker
	switch leads := p.Leads(); {
	case p.Topic == offsetsTopic && leads:
		n.loading.Go(b.leadGroups(p))
	case p.Topic == offsetsTopic:
		b.groups.Resign(p.Partition)
	case leads:
		n.loading.Go(b.leadTxnPartition(p))
	default:
		b.txns.Resign(p.Partition)
	}
}

// coordinators are the partitions of internal topics that this broker leads.
type coordinators struct {
	mu sync.Mutex
	// Guarded by mu.
	epochs map[protocol.TopicPartition]int32 // in which it began to
}

// moved notes whether a partition is led from here, and reports whether that is new.
func (c *coordinators) moved(tp protocol.TopicPartition, leads bool, epoch int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, led := c.epochs[tp]
	if !leads {
		delete(c.epochs, tp)
		return led
	}
	c.epochs[tp] = epoch
	return !led || before != epoch
}

// dropTopic lets go of the replicas of a topic that was deleted.
func (n *clusterNode) dropTopic(t *metadata.Topic) {
	for _, p := range n.broker.partitions.Topic(t.Name) {
		n.replicator.Remove(p)
		n.coordinators.moved(p.TopicPartition, false, 0)
	}
	n.throttles.forget(t.Name)
	n.broker.deleteTopic(t)
}

// dropPartition lets go of a replica that is this broker's no more, and of its files.
func (n *clusterNode) dropPartition(tp protocol.TopicPartition) {
	p := n.broker.partitions.RemoveOne(tp)
	if p == nil {
		return
	}
	n.replicator.Remove(p)
	n.coordinators.moved(tp, false, 0)
	n.broker.deleteReplica(p)
}

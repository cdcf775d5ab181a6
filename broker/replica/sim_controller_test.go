package replica

import (
	"crypto/md5"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
)

// modelController is what a controller does, in as few words as possible: it elects
// leaders from the ISR alone, unless it is told to be unclean, and takes an ISR only
// from who leads and knows what holds. It makes and deletes topics and moves
// partitions between brokers.
type modelController struct {
	unclean bool

	mu sync.Mutex
	// Guarded by mu.
	version    int // counts all changes
	brokers    map[int32]modelBroker
	partitions []modelPartition
}

type modelBroker struct {
	epoch  int64
	fenced bool
}

// modelPartition is a partition of a topic. A topic that was deleted has no id.
type modelPartition struct {
	Assignment
	tp               protocol.TopicPartition
	id               protocol.TopicID
	adding, removing []int32
}

func newModelController(slots []simSlot, minISR int, unclean bool) *modelController {
	c := &modelController{brokers: map[int32]modelBroker{}, unclean: unclean}
	for _, slot := range slots {
		c.partitions = append(c.partitions, modelPartition{tp: slot.TopicPartition, Assignment: Assignment{MinISR: minISR}})
	}
	for _, slot := range slots {
		c.create(slot.Topic, 0)
	}
	return c
}

// create makes a topic that is not there, on three brokers that chance turns about.
func (c *modelController) create(topic string, turn int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	id := protocol.TopicID(md5.Sum(fmt.Append(nil, topic, c.version))) // two have little in common, as those of a real controller
	for i := range c.partitions {
		p := &c.partitions[i]
		if p.tp.Topic != topic || p.id != (protocol.TopicID{}) {
			continue
		}
		p.id = id
		all := []int32{1, 2, 3, 4}
		replicas := append(slices.Clone(all[(i+turn)%4:]), all[:(i+turn)%4]...)[:3]
		p.Assignment = Assignment{Leader: -1, Replicas: replicas, ISR: replicas, MinISR: p.MinISR}
		c.elect(p, 0)
	}
}

// remove deletes a topic.
func (c *modelController) remove(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	for i := range c.partitions {
		if p := &c.partitions[i]; p.tp.Topic == topic {
			p.id, p.adding, p.removing = protocol.TopicID{}, nil, nil
		}
	}
}

// register takes a broker in that has started. What it led before, it leads no more.
func (c *modelController) register(id int32) (epoch int64) {
	c.fence(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	epoch = int64(c.version)
	c.brokers[id] = modelBroker{epoch: epoch}
	for i := range c.partitions {
		if p := &c.partitions[i]; p.Leader < 0 {
			c.elect(p, 0)
		}
	}
	return epoch
}

// fence takes a broker out of every ISR that has another.
func (c *modelController) fence(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.brokers[id]
	b.fenced = true
	c.brokers[id] = b
	c.version++
	for i := range c.partitions {
		p := &c.partitions[i]
		if slices.Contains(p.ISR, id) && len(p.ISR) > 1 {
			p.ISR = without(p.ISR, []int32{id})
			p.PartitionEpoch++
		}
		if p.Leader == id {
			c.elect(p, 0)
		}
	}
}

// needless reports whether no ISR has the broker: its disk can be lost.
func (c *modelController) needless(id int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(c.partitions, func(p modelPartition) bool {
		return p.id != (protocol.TopicID{}) && slices.Contains(p.ISR, id)
	})
}

// elect makes another of the ISR the leader, -1 where none can be. An unclean
// controller then takes any replica that is there. The caller holds mu.
func (c *modelController) elect(p *modelPartition, choice int) {
	may := func(of []int32) (can []int32) {
		for _, id := range of {
			if b, known := c.brokers[id]; known && !b.fenced && id != p.Leader {
				can = append(can, id)
			}
		}
		return can
	}
	can := may(p.ISR)
	unclean := len(can) == 0 && c.unclean
	if unclean {
		can = may(p.Replicas)
	}
	p.Leader, p.Recovering = -1, false
	if len(can) > 0 {
		p.Leader = can[choice%len(can)]
		if unclean {
			p.ISR, p.Recovering = []int32{p.Leader}, true
		}
	}
	p.LeaderEpoch++
	p.PartitionEpoch++
	c.version++
}

// move elects another leader of the ISR where there is one.
func (c *modelController) move(i, choice int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.partitions[i].ISR) > 1 {
		c.elect(&c.partitions[i], choice)
	}
}

// electUncleanly makes a replica the leader though others are in sync.
func (c *modelController) electUncleanly(i, choice int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.partitions[i]
	p.ISR = nil
	c.elect(p, choice)
}

// reassign begins to give a partition the replicas that another choice of brokers
// is, or turns a move that is under way.
func (c *modelController) reassign(i int, target []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.partitions[i]
	before := without(p.Replicas, p.adding)
	p.removing = without(p.Replicas, target)
	p.Replicas = slices.Concat(target, p.removing)
	p.adding = without(p.Replicas, before)
	p.PartitionEpoch++
	c.version++
	c.completeMove(p)
}

// completeMove drops the replicas that go once those that come are in sync. The
// caller holds mu.
func (c *modelController) completeMove(p *modelPartition) {
	replicas, isr := without(p.Replicas, p.removing), without(p.ISR, p.removing)
	if len(p.removing)+len(p.adding) == 0 || len(isr) < max(1, min(p.MinISR, len(replicas))) ||
		len(without(without(p.adding, p.removing), isr)) > 0 {
		return
	}
	p.Replicas, p.ISR, p.adding, p.removing = replicas, isr, nil, nil
	if slices.Contains(replicas, p.Leader) {
		p.LeaderEpoch++ // so that what goes is not fetched from or for any more
		p.PartitionEpoch++
		c.version++
		return
	}
	c.elect(p, 0)
}

func (c *modelController) eligible(id int32, epoch int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mayJoin(id, epoch)
}

func (c *modelController) mayJoin(id int32, epoch int64) bool {
	b, known := c.brokers[id]
	return known && !b.fenced && (epoch == -1 || epoch == b.epoch)
}

// propose decides on an ISR that a leader asks for.
func (c *modelController) propose(asked Proposal) ProposalAnswer {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.partitions, func(p modelPartition) bool { return p.tp == asked.TopicPartition && p.id == asked.TopicID })
	if i < 0 {
		return ProposalAnswer{Err: kerr.UnknownTopicID}
	}
	p := &c.partitions[i]
	switch {
	case asked.LeaderEpoch != p.LeaderEpoch:
		return ProposalAnswer{Err: kerr.FencedLeaderEpoch}
	case asked.PartitionEpoch != p.PartitionEpoch:
		return ProposalAnswer{Err: kerr.InvalidUpdateVersion}
	}
	var isr []int32
	for _, m := range asked.ISR {
		switch {
		case !slices.Contains(p.Replicas, m.ID):
			return ProposalAnswer{Err: kerr.InvalidRequest}
		case !c.mayJoin(m.ID, m.BrokerEpoch):
			return ProposalAnswer{Err: fmt.Errorf("broker %d: %w", m.ID, kerr.IneligibleReplica)}
		}
		isr = append(isr, m.ID)
	}
	p.ISR, p.Recovering = isr, false
	p.PartitionEpoch++
	c.version++
	c.completeMove(p)
	if p.LeaderEpoch != asked.LeaderEpoch {
		return ProposalAnswer{Err: kerr.NewLeaderElected}
	}
	return ProposalAnswer{Assignment: p.Assignment}
}

// partition returns what holds of a partition.
func (c *modelController) partition(i int) modelPartition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.partitions[i]
}

// all returns what holds of all partitions, at one moment.
func (c *modelController) all() []modelPartition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.partitions)
}

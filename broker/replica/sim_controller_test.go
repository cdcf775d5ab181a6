package replica

import (
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
)

// modelController is what a controller does, in as few words as possible: it elects
// leaders from the ISR alone, and takes an ISR only from who leads and knows what
// holds.
type modelController struct {
	mu         sync.Mutex
	version    int // counts all changes
	brokers    map[int32]modelBroker
	partitions []Assignment
}

type modelBroker struct {
	epoch  int64
	fenced bool
}

func newModelController(partitions, minISR int) *modelController {
	c := &modelController{brokers: map[int32]modelBroker{}}
	all := []int32{1, 2, 3}
	for i := range partitions {
		c.partitions = append(c.partitions, Assignment{Leader: all[i%3], Replicas: all, ISR: all, MinISR: minISR})
	}
	return c
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
		if c.partitions[i].Leader < 0 {
			c.elect(i, 0)
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
		a := &c.partitions[i]
		if !slices.Contains(a.ISR, id) {
			continue
		}
		if len(a.ISR) > 1 {
			a.ISR = without(a.ISR, []int32{id})
			a.PartitionEpoch++
		}
		if a.Leader == id {
			c.elect(i, 0)
		}
	}
}

// elect makes another of the ISR the leader, -1 where none can be.
func (c *modelController) elect(i, choice int) {
	a := &c.partitions[i]
	var can []int32
	for _, id := range a.ISR {
		if !c.brokers[id].fenced && id != a.Leader {
			can = append(can, id)
		}
	}
	a.Leader = -1
	if len(can) > 0 {
		a.Leader = can[choice%len(can)]
	}
	a.LeaderEpoch++
	a.PartitionEpoch++
	c.version++
}

// move elects another leader of the ISR where there is one.
func (c *modelController) move(i, choice int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.partitions[i].ISR) > 1 {
		c.elect(i, choice)
	}
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
func (c *modelController) propose(p Proposal) ProposalAnswer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &c.partitions[p.Partition]
	switch {
	case p.LeaderEpoch != a.LeaderEpoch:
		return ProposalAnswer{Err: kerr.FencedLeaderEpoch}
	case p.PartitionEpoch != a.PartitionEpoch:
		return ProposalAnswer{Err: kerr.InvalidUpdateVersion}
	}
	var isr []int32
	for _, m := range p.ISR {
		if !c.mayJoin(m.ID, m.BrokerEpoch) {
			return ProposalAnswer{Err: fmt.Errorf("broker %d: %w", m.ID, kerr.IneligibleReplica)}
		}
		isr = append(isr, m.ID)
	}
	a.ISR = isr
	a.PartitionEpoch++
	c.version++
	return ProposalAnswer{Assignment: *a}
}

func (c *modelController) assignment(i int) Assignment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.partitions[i]
}

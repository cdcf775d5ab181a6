// Package decommission plans how brokers get rid of all that they hold, so that they
// can be taken out of a cluster.
//
// A plan is a pure function of the cluster's facts. It is made again and again until
// nothing is left: what changed meanwhile (topics that came, brokers that failed,
// moves that were taken back) is in the next one, so that it does not matter who made
// the last, nor whether all of it was carried out.
package decommission

import (
	"cmp"
	"slices"

	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/protocol"
)

// reservePercent of a disk is left free by moves: a broker whose disk is full stops.
const reservePercent = 5

// Plan is how far brokers are from holding nothing, and what to do next.
type Plan struct {
	Replicas int   // that the brokers still hold
	Moving   int   // of them, those on their way elsewhere
	Leaders  int   // partitions that the brokers lead
	Bytes    int64 // about how much is left to copy, as far as sizes are known
	// Next are the moves to begin, in the order of the partitions. Some may already be
	// under way and turn to another broker.
	Next []Move
	// Stuck are partitions that cannot move as things are.
	Stuck []Stuck
}

// Move is where the replicas of a partition are to be.
type Move struct {
	protocol.TopicPartition
	Replicas []int32
}

// Stuck is a partition that does not move, and why.
type Stuck struct {
	protocol.TopicPartition
	Why string
}

// Make plans for brokers that are to leave. Each replica goes to the broker that holds
// least, in the same place of the list, so that who is preferred as leader stays
// spread; where there is a choice to a rack that does not have the partition yet, and
// only to brokers that are up, take replicas, and have room for it. Of one plan at most
// moves are under way at a time.
func Make(f *health.Facts, leaving []int32, moves int) *Plan {
	p := &planner{facts: f, leaving: leaving, plan: &Plan{}, holds: map[int32]int{}, room: map[int32]int64{}}
	p.findBrokers()
	for i := range f.Partitions {
		p.count(&f.Partitions[i])
	}
	left := moves - p.plan.Moving
	for i := range f.Partitions {
		partition := &f.Partitions[i]
		if target := p.target(partition, left > 0 || partition.Moving()); target != nil {
			left--
			p.plan.Next = append(p.plan.Next, Move{partition.TopicPartition, target})
		}
	}
	return p.plan
}

// planner makes one plan.
type planner struct {
	facts   *health.Facts
	leaving []int32
	plan    *Plan
	open    []*health.Broker // that may take replicas, by id
	holds   map[int32]int    // replicas of each broker, with those that it is to get
	room    map[int32]int64  // bytes for which each has room; missing: not known
}

func (p *planner) findBrokers() {
	for i := range p.facts.Brokers {
		b := &p.facts.Brokers[i]
		if b.Fenced || slices.Contains(p.leaving, b.ID) || cordoned(b) {
			continue
		}
		p.open = append(p.open, b)
		if room, known := roomOf(b); known {
			p.room[b.ID] = room
		}
	}
}

// cordoned reports whether a broker takes no new replicas in any folder.
func cordoned(b *health.Broker) bool {
	return len(b.Dirs) > 0 && !slices.ContainsFunc(b.Dirs, func(d health.Dir) bool { return !d.Cordoned })
}

// roomOf returns how many bytes fit in a broker's emptiest folder: a replica is in
// one.
func roomOf(b *health.Broker) (bytes int64, known bool) {
	for _, d := range b.Dirs {
		if d.Failed == "" && !d.Cordoned && d.Total > 0 && d.Usable >= 0 {
			bytes, known = max(bytes, d.Usable-d.Total/100*reservePercent), true
		}
	}
	return bytes, known
}

// count adds up what a partition has on the brokers that leave, and on all others.
func (p *planner) count(has *health.Partition) {
	for _, id := range has.Target() {
		p.holds[id]++
	}
	here := within(has.Replicas, p.leaving)
	p.plan.Replicas += len(here)
	p.plan.Moving += len(within(here, has.Removing))
	p.plan.Bytes += size(has) * int64(len(without(here, has.Removing)))
	if len(within(here, has.Removing)) > 0 {
		p.plan.Bytes += has.ToCopy()
	}
	if slices.Contains(p.leaving, has.Leader) {
		p.plan.Leaders++
	}
	for _, id := range without(has.Adding, has.ISR) {
		p.take(id, max(0, size(has)-has.Sizes[id]))
	}
}

// take notes that a broker is to get bytes.
func (p *planner) take(broker int32, bytes int64) {
	if _, known := p.room[broker]; known {
		p.room[broker] -= bytes
	}
}

// size is the length of a partition's log, as its leader tells it, or who has most.
func size(has *health.Partition) (bytes int64) {
	if bytes, known := has.Sizes[has.Leader]; known {
		return bytes
	}
	for _, n := range has.Sizes {
		bytes = max(bytes, n)
	}
	return bytes
}

// target returns where a partition's replicas are to be, nil where none is to move or
// it has to stay. A move to a broker that failed meanwhile is turned to another one.
// Where no move may begin it only finds out whether one could.
func (p *planner) target(has *health.Partition, begin bool) []int32 {
	stays := has.Target()
	failed := slices.DeleteFunc(slices.Clone(has.Adding), p.up)
	switch {
	case len(within(has.Replicas, p.leaving)) == 0:
		return nil
	case has.Leader < 0:
		return p.stuck(has, "it has no leader to copy from")
	case len(within(stays, p.leaving, failed)) == 0:
		return nil
	}
	unknown := slices.DeleteFunc(slices.Clone(stays), func(id int32) bool { return p.facts.Broker(id) != nil }) // no move may name them
	goes := within(stays, p.leaving, failed, unknown)
	target := slices.Clone(stays)
	for i, id := range target {
		if !slices.Contains(goes, id) {
			continue
		}
		to, why := p.replacement(without(target, goes), size(has))
		if to == nil {
			return p.stuck(has, why)
		}
		target[i] = to.ID
	}
	if !begin {
		return nil
	}
	for _, id := range without(target, stays) {
		p.holds[id]++
		p.take(id, size(has))
	}
	return target
}

func (p *planner) stuck(has *health.Partition, why string) []int32 {
	p.plan.Stuck = append(p.plan.Stuck, Stuck{has.TopicPartition, why})
	return nil
}

func (p *planner) up(id int32) bool {
	b := p.facts.Broker(id)
	return b != nil && !b.Fenced
}

// replacement chooses a broker that does not hold a partition, or says why there is
// none.
func (p *planner) replacement(held []int32, bytes int64) (*health.Broker, string) {
	free := slices.DeleteFunc(slices.Clone(p.open), func(b *health.Broker) bool { return slices.Contains(held, b.ID) })
	if len(free) == 0 {
		return nil, "every other broker that takes replicas has it already"
	}
	roomy := slices.DeleteFunc(free, func(b *health.Broker) bool {
		room, known := p.room[b.ID]
		return known && room < bytes
	})
	if len(roomy) == 0 {
		return nil, "no other broker has room for it on its disk"
	}
	return slices.MinFunc(roomy, func(a, b *health.Broker) int {
		return cmp.Or(cmp.Compare(p.inRack(held, a.Rack), p.inRack(held, b.Rack)), cmp.Compare(p.holds[a.ID], p.holds[b.ID]))
	}), ""
}

func (p *planner) inRack(brokers []int32, rack string) (n int) {
	for _, id := range brokers {
		if b := p.facts.Broker(id); b != nil && b.Rack == rack {
			n++
		}
	}
	return n
}

// without returns the brokers of list that are in none of the others.
func without(list []int32, others ...[]int32) []int32 {
	return slices.DeleteFunc(slices.Clone(list), func(id int32) bool {
		return slices.ContainsFunc(others, func(o []int32) bool { return slices.Contains(o, id) })
	})
}

// within returns the brokers of list that are in at least one of the others.
func within(list []int32, others ...[]int32) []int32 {
	return without(list, without(list, others...))
}

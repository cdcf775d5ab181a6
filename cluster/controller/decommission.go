package controller

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Decommission is how far brokers are from holding nothing, and what to do next.
type Decommission struct {
	Replicas int // that the brokers still hold
	Moving   int // of them, those on their way elsewhere
	Leaders  int // partitions that the brokers lead
	// Next is the reassignment that brings them closer, nil where none is to begin.
	Next *kmsg.AlterPartitionAssignmentsRequest
	// Stuck are partitions that cannot move, because there are no other brokers that
	// could hold them.
	Stuck []Stuck
}

// Stuck is a partition that does not move.
type Stuck struct {
	Topic     string
	Partition int32
}

// PlanDecommission plans how brokers get rid of all their replicas. Each goes to the
// broker that holds least, in the same place of the list, so that who is preferred as
// leader stays spread, and where there is a choice to a rack that does not have the
// partition yet. Of one plan at most moves are under way at a time. It is asked for
// again and again until no replicas are left; a broker that fails meanwhile is left
// out of the next plan. To cordon the brokers first keeps new partitions away.
func (*Controller) PlanDecommission(img *metadata.Image, leaving []int32, moves int) *Decommission {
	plan := &Decommission{}
	p := newPlacement(img)
	p.order = slices.DeleteFunc(p.order, func(b *metadata.Broker) bool { return slices.Contains(leaving, b.ID) })
	for t := range img.Topics() {
		for i := range t.Partitions {
			plan.count(t, int32(i), leaving, p)
		}
	}
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	left := moves - plan.Moving
	for t := range img.Topics() {
		told := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		told.Topic = t.Name
		for i := range t.Partitions {
			if target := plan.target(img, t, int32(i), leaving, p); target != nil && (left > 0 || t.Partitions[i].Moving()) {
				left--
				told.Partitions = append(told.Partitions, kmsg.AlterPartitionAssignmentsRequestTopicPartition{Partition: int32(i), Replicas: target})
			}
		}
		if len(told.Partitions) > 0 {
			req.Topics = append(req.Topics, told)
		}
	}
	if len(req.Topics) > 0 {
		plan.Next = req
	}
	return plan
}

// count adds up what a partition has on the brokers, and on all others.
func (plan *Decommission) count(t *metadata.Topic, index int32, leaving []int32, p *placement) {
	has := &t.Partitions[index]
	for _, id := range without(has.Replicas, has.Removing()) {
		p.holds[id]++
	}
	here := within(has.Replicas, leaving)
	plan.Replicas += len(here)
	if slices.Contains(leaving, has.Leader) {
		plan.Leaders++
	}
	plan.Moving += len(within(here, has.Removing()))
}

// target returns where a partition's replicas are to be, nil where none is to move
// from the brokers or where it has to stay. A move to a broker that failed meanwhile
// is turned to another one.
func (plan *Decommission) target(img *metadata.Image, t *metadata.Topic, index int32, leaving []int32, p *placement) []int32 {
	has := &t.Partitions[index]
	stays := without(has.Replicas, has.Removing())
	failed := slices.DeleteFunc(slices.Clone(has.Adding()), img.Active)
	if len(within(stays, leaving, failed)) == 0 {
		return nil
	}
	goes := within(stays, leaving, failed, unregistered(img, stays))
	target := slices.Clone(stays)
	for i, id := range target {
		if !slices.Contains(goes, id) {
			continue
		}
		to := p.replacement(without(target, goes))
		if to == nil {
			plan.Stuck = append(plan.Stuck, Stuck{t.Name, index})
			return nil
		}
		target[i] = to.ID
	}
	for _, id := range without(target, stays) {
		p.holds[id]++
	}
	return target
}

// unregistered returns the brokers of a list that left the cluster: no move may name
// them.
func unregistered(img *metadata.Image, list []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(list), func(id int32) bool { _, found := img.Broker(id); return found })
}

// replacement chooses a broker that does not hold the partition; nil where all do.
func (p *placement) replacement(held []int32) *metadata.Broker {
	var holders []*metadata.Broker
	for _, b := range slices.Concat(p.order, p.spare) {
		if slices.Contains(held, b.ID) {
			holders = append(holders, b)
		}
	}
	free := slices.DeleteFunc(slices.Clone(p.order), func(b *metadata.Broker) bool { return slices.Contains(held, b.ID) })
	if len(free) == 0 {
		return nil
	}
	return slices.MinFunc(free, func(a, b *metadata.Broker) int {
		return cmp.Or(cmp.Compare(inRack(holders, a.Rack), inRack(holders, b.Rack)), cmp.Compare(p.holds[a.ID], p.holds[b.ID]))
	})
}

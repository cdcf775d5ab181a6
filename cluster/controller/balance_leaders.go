package controller

import (
	"slices"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// maxElections is how many leaders one decision moves back to the preferred ones:
// clients have to find each of them anew.
const maxElections = 1000

// Imbalanced returns the brokers of which more than percent of the partitions that they
// should lead, as their preferred leaders, are led by others though they could
// lead them. It is for every leader.imbalance.check.interval.seconds where
// auto.leader.rebalance.enable is set.
func (*Controller) Imbalanced(img *metadata.Image, percent int) (brokers []int32) {
	all, lost := map[int32]int{}, map[int32]int{}
	for t := range img.Topics() {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			all[p.Replicas[0]]++
			if imbalanced(img, p) {
				lost[p.Replicas[0]]++
			}
		}
	}
	for b := range img.Brokers() {
		if lost[b.ID]*100 > all[b.ID]*percent {
			brokers = append(brokers, b.ID)
		}
	}
	return brokers
}

// BalanceLeaders gives partitions back to the given brokers where those are their
// preferred leaders, which lead after a topic was created and no more once they were
// down. more says that there are others.
func (*Controller) BalanceLeaders(img *metadata.Image, brokers []int32, in Inputs) (records []metadata.Record, more bool) {
	s := newSweep(img, in)
	s.left = maxElections
	lost := func(p *metadata.Partition) bool { return slices.Contains(brokers, p.Replicas[0]) && imbalanced(img, p) }
	return s.run(lost, func(d *draft) { d.election = preferredLeader })
}

// imbalanced reports whether the preferred leader could lead but does not.
func imbalanced(img *metadata.Image, p *metadata.Partition) bool {
	preferred := p.Replicas[0]
	return p.Leader >= 0 && p.Leader != preferred && slices.Contains(p.ISR, preferred) && img.Active(preferred)
}

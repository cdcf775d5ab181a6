package controller

import (
	"slices"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// maxElections is how many leaders one decision moves back to the preferred ones:
// clients have to find each of them anew.
const maxElections = 1000

// BalanceLeaders gives partitions back to their preferred leaders, which lead after a
// topic was created and no more once they were down. It is for every
// leader.imbalance.check.interval.seconds where auto.leader.rebalance.enable is set.
// more says that there are others.
func (*Controller) BalanceLeaders(img *metadata.Image, in Inputs) (records []metadata.Record, more bool) {
	s := newSweep(img, in)
	s.left = maxElections
	return s.run(func(p *metadata.Partition) bool { return imbalanced(img, p) }, func(d *draft) { d.election = preferredLeader })
}

// imbalanced reports whether the preferred leader could lead but does not.
func imbalanced(img *metadata.Image, p *metadata.Partition) bool {
	preferred := p.Replicas[0]
	return p.Leader >= 0 && p.Leader != preferred && slices.Contains(p.ISR, preferred) && img.Active(preferred)
}

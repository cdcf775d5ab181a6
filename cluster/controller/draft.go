package controller

import (
	"slices"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// election says who may become a partition's leader.
type election int

const (
	keepLeader      election = iota // the leader stays if it may; else one of the ISR, or of the ELR
	preferredLeader                 // as before, but the preferred leader comes first
	uncleanLeader                   // as keepLeader, and if nobody may, any replica that is up
)

// draft is one partition on its way to its next state. Who makes one sets what is
// wanted; finish does what follows from it.
type draft struct {
	was      *metadata.Partition
	replicas []int32
	isr      []int32
	state    metadata.Unsettled
	recovers bool

	rules    rules
	election election
	active   func(id int32) bool
	suspect  []int32 // may lack acknowledged records from here on
	emptied  []int32 // have lost a disk: nothing that they had counts
	anew     bool    // a new leader epoch is to begin in any case

	leader int32
}

func newDraft(p *metadata.Partition, r rules, active func(int32) bool) draft {
	d := draft{was: p, replicas: p.Replicas, isr: p.ISR, state: p.State(), recovers: p.Recovering, rules: r, active: active}
	if r.unclean {
		d.election = uncleanLeader
	}
	return d
}

// finish returns the partition as it is to be, and whether that is a change.
func (d *draft) finish() (metadata.Partition, bool) {
	d.completeMove()
	d.fillELR()
	d.elect()
	d.rememberLeader()
	d.state.Offline = within(d.state.Offline, d.replicas)
	next := metadata.Partition{
		Leader: d.leader, LeaderEpoch: d.was.LeaderEpoch, PartitionEpoch: d.was.PartitionEpoch, Recovering: d.recovers,
		Replicas: d.replicas, ISR: d.isr, Unsettled: metadata.NewUnsettled(d.state),
	}
	if next.Equal(d.was) && !d.anew {
		return next, false
	}
	next.PartitionEpoch++
	if d.anew || next.Leader != d.was.Leader || !containsAll(next.Replicas, d.was.Replicas) {
		next.LeaderEpoch++ // so that a replica that goes is not fetched from or for any more
	}
	return next, true
}

// completeMove ends a reassignment once every replica that it adds is in sync and
// the ISR is large enough without those that it removes. It does not wait for
// replicas that it leaves alone: a broker that is down must not hold up the move
// away from another.
func (d *draft) completeMove() {
	if len(d.state.Adding)+len(d.state.Removing) == 0 {
		return
	}
	replicas, isr := without(d.replicas, d.state.Removing), without(d.isr, d.state.Removing)
	if len(replicas) == 0 || !containsAll(isr, without(d.state.Adding, d.state.Removing)) || len(isr) < max(1, min(d.rules.minISR, len(replicas))) {
		return
	}
	d.replicas, d.isr = replicas, isr
	d.state.Adding, d.state.Removing = nil, nil
}

// fillELR keeps who left the ISR eligible as long as the ISR is too small for
// anything to be acknowledged without them.
func (d *draft) fillELR() {
	if len(d.isr) >= d.minISR() {
		d.state.ELR = nil
		return
	}
	d.state.ELR = without(within(d.replicas, d.state.ELR, d.was.ISR), d.isr, d.suspect, d.emptied)
}

func (d *draft) minISR() int {
	p := metadata.Partition{Replicas: d.replicas, Unsettled: &d.state}
	return p.MinISR(d.rules.minISR)
}

func (d *draft) elect() {
	d.leader = d.choose()
	if d.leader < 0 || slices.Contains(d.isr, d.leader) {
		return
	}
	d.isr = []int32{d.leader}
	switch {
	case !slices.Contains(d.state.ELR, d.leader):
		d.state.ELR = nil // whatever they have, it is not what this leader will have
		d.recovers = true
	case len(d.isr) >= d.minISR():
		d.state.ELR = nil // the leader may acknowledge without them
	default:
		d.state.ELR = without(d.state.ELR, d.isr)
	}
}

// choose returns the leader, -1 for none.
func (d *draft) choose() int32 {
	if d.election == preferredLeader && d.eligible(d.replicas[0]) {
		return d.replicas[0]
	}
	if d.eligible(d.was.Leader) {
		return d.was.Leader
	}
	if at := slices.IndexFunc(d.replicas, d.eligible); at >= 0 {
		return d.replicas[at]
	}
	if last := d.lastLeader(); last >= 0 {
		return last
	}
	if at := slices.IndexFunc(d.replicas, d.up); at >= 0 && d.election == uncleanLeader {
		return d.replicas[at]
	}
	return -1
}

// eligible reports whether a replica has every acknowledged record and may lead.
func (d *draft) eligible(id int32) bool {
	return d.up(id) && (slices.Contains(d.isr, id) || len(d.isr) == 0 && slices.Contains(d.state.ELR, id))
}

func (d *draft) up(id int32) bool { return d.active(id) && !slices.Contains(d.state.Offline, id) }

// lastLeader returns the last leader where it may lead again though it may have lost
// records: nobody else can have more of them. -1 for none.
func (d *draft) lastLeader() int32 {
	if len(d.isr)+len(d.state.ELR) > 0 || d.election != uncleanLeader && !d.rules.lenient {
		return -1
	}
	for _, id := range without(d.state.LastKnownELR, d.emptied) {
		if d.up(id) && slices.Contains(d.replicas, id) {
			return id
		}
	}
	return -1
}

// rememberLeader notes who led last in a partition that loses its leader.
func (d *draft) rememberLeader() {
	switch {
	case d.leader >= 0:
		d.state.LastKnownELR = nil
	case d.was.Leader >= 0:
		d.state.LastKnownELR = without([]int32{d.was.Leader}, d.emptied)
	default:
		d.state.LastKnownELR = without(d.state.LastKnownELR, d.emptied)
	}
}

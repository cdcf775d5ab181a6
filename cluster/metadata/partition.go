package metadata

import "slices"

// Partition says which brokers hold a partition. Memory for a million of them is
// planned for: what only few have is behind a pointer, and lists that are equal
// may share their memory, so none may be changed in place.
//
// Invariants: Leader is in ISR, and -1 where ISR is empty. ISR is part of
// Replicas. ISR and ELR have no broker in common.
type Partition struct {
	Leader         int32 // -1: none
	LeaderEpoch    int32 // counts the leaders so far, from 0
	PartitionEpoch int32 // counts all changes to this struct, from 0
	// Recovering is set when the leader was elected though acknowledged records
	// may be missing from its log, and cleared by the leader.
	Recovering bool
	Replicas   []int32 // the first is the preferred leader
	ISR        []int32
	Unsettled  *Unsettled // nil: not moved, and enough replicas in the ISR
}

// Unsettled is what a partition has while it is moved, or while its ISR has
// fewer replicas than it should.
type Unsettled struct {
	Adding   []int32 // part of Replicas, not counted before the move
	Removing []int32 // part of Replicas, not counted after the move
	// ELR are the eligible leader replicas (KIP-966): they have every
	// acknowledged record, but are not in the ISR.
	ELR []int32
	// LastKnownELR is the last leader of a partition that has none.
	LastKnownELR []int32
	// Offline are replicas on brokers that are up, in a log dir that failed.
	Offline []int32
}

// NewUnsettled returns nil for lists that are all empty.
func NewUnsettled(u Unsettled) *Unsettled {
	if len(u.Adding)+len(u.Removing)+len(u.ELR)+len(u.LastKnownELR)+len(u.Offline) == 0 {
		return nil
	}
	own := u // not u, which would cost memory for every settled partition too
	return &own
}

// State returns what a partition has while it is unsettled; the zero value where
// it is settled.
func (p *Partition) State() Unsettled {
	if p.Unsettled == nil {
		return Unsettled{}
	}
	return *p.Unsettled
}

// Adding returns [Unsettled.Adding]; nil where the partition is settled.
func (p *Partition) Adding() []int32 { return p.State().Adding }

// Removing returns [Unsettled.Removing]; nil where the partition is settled.
func (p *Partition) Removing() []int32 { return p.State().Removing }

// ELR returns [Unsettled.ELR]; nil where the partition is settled.
func (p *Partition) ELR() []int32 { return p.State().ELR }

// LastKnownELR returns [Unsettled.LastKnownELR]; nil where the partition is settled.
func (p *Partition) LastKnownELR() []int32 { return p.State().LastKnownELR }

// Offline returns [Unsettled.Offline]; nil where the partition is settled.
func (p *Partition) Offline() []int32 { return p.State().Offline }

// Moving reports whether the partition is being reassigned.
func (p *Partition) Moving() bool { return len(p.Adding())+len(p.Removing()) > 0 }

// MinISR is how many in-sync replicas the partition needs where
// min.insync.replicas is the given number: never more than it has replicas, not
// counting those that a move adds.
func (p *Partition) MinISR(configured int) int {
	return max(1, min(configured, len(p.Replicas)-len(p.Adding())))
}

// Equal reports whether p and q say the same.
func (p *Partition) Equal(q *Partition) bool {
	return p.Leader == q.Leader && p.LeaderEpoch == q.LeaderEpoch && p.PartitionEpoch == q.PartitionEpoch &&
		p.Recovering == q.Recovering && slices.Equal(p.Replicas, q.Replicas) && slices.Equal(p.ISR, q.ISR) &&
		p.State().equal(q.State())
}

func (u Unsettled) equal(v Unsettled) bool {
	return slices.Equal(u.Adding, v.Adding) && slices.Equal(u.Removing, v.Removing) && slices.Equal(u.ELR, v.ELR) &&
		slices.Equal(u.LastKnownELR, v.LastKnownELR) && slices.Equal(u.Offline, v.Offline)
}

package metadata

import "slices"

// The bits before a partition.
const (
	partitionISRIsReplicas = 1 << iota // the ISR is not written
	partitionRecovering
	partitionUnsettled
)

// partitionSize is the least that a partition takes: its bits, three integers and
// an empty list.
const partitionSize = 1 + 3 + 1

func (e *encoder) partition(p *Partition) {
	whole := slices.Equal(p.ISR, p.Replicas)
	e.flags(whole, p.Recovering, p.Unsettled != nil)
	e.varint(p.Leader)
	e.varint(p.LeaderEpoch)
	e.varint(p.PartitionEpoch)
	e.varints(p.Replicas)
	if !whole {
		e.varints(p.ISR)
	}
	if u := p.Unsettled; u != nil {
		e.varints(u.Adding)
		e.varints(u.Removing)
		e.varints(u.ELR)
		e.varints(u.LastKnownELR)
		e.varints(u.Offline)
	}
}

func (d *decoder) partition() Partition {
	bits := d.byte()
	p := Partition{
		Leader:         d.varint(),
		LeaderEpoch:    d.varint(),
		PartitionEpoch: d.varint(),
		Recovering:     bits&partitionRecovering != 0,
		Replicas:       d.varints(),
	}
	p.ISR = p.Replicas // the common case, times all partitions
	if bits&partitionISRIsReplicas == 0 {
		p.ISR = d.varints()
	}
	if bits&partitionUnsettled != 0 {
		p.Unsettled = &Unsettled{d.varints(), d.varints(), d.varints(), d.varints(), d.varints()}
	}
	return p
}

func (e *encoder) partitions(all []Partition) {
	e.count(len(all))
	for i := range all {
		e.partition(&all[i])
	}
}

func (d *decoder) partitions() []Partition {
	all := make([]Partition, d.count(partitionSize))
	for i := range all {
		all[i] = d.partition()
	}
	return all
}

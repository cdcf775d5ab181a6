package broker

import (
	"fmt"
	"time"

	"github.com/klamm-io/klamm/broker/marker"
	"github.com/klamm-io/klamm/cluster/peer"
	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// absentPatience is how long a partition that a transaction is in may be unknown here:
// longer than a broker that hears nothing of the metadata takes part.
const absentPatience = 5 * time.Second

// newDelivery returns what brings markers to whoever leads their partitions, which
// is this node alone where the cluster has no others.
func (b *Broker) newDelivery(deps Deps) *marker.Delivery {
	c := marker.Config{Node: b.config.NodeID}
	d := marker.Deps{Image: b.view.Image, Write: markers{b}.WriteMarker, Logger: deps.Logger}
	if b.node != nil {
		c.AbsentPatience, d.Send = absentPatience, b.node.sendToBroker(peer.LaneTransactions)
	}
	return marker.New(c, d)
}

// markers writes the markers of transactions into partitions that this node leads.
type markers struct{ broker *Broker }

// WriteMarker writes a marker into one partition. done is called once, when it is
// committed or with why it is not. In a partition of __consumer_offsets the group
// coordinator writes it, for it ends the offsets that the transaction committed.
func (m markers) WriteMarker(end step.Marker, tp protocol.TopicPartition, done func(error)) {
	p, err := m.broker.partitions.Get(tp.Topic, tp.Partition)
	if err != nil {
		done(err)
		return
	}
	if tp.Topic == offsetsTopic {
		m.broker.groups.EndTxn(tp.Partition, end, done)
		return
	}
	now := time.Now()
	batch, err := record.BuildMarker(end.ProducerID, end.ProducerEpoch, end.CoordinatorEpoch, end.Commit, now.UnixMilli())
	if err != nil {
		done(fmt.Errorf("build a marker: %w", err))
		return
	}
	result, err := p.Append(batch, log.AppendOptions{Now: now, Origin: log.FromCoordinator, MarkerEpochEach: end.Version >= 2})
	if err != nil {
		done(err)
		return
	}
	p.WhenCommitted(result.LeaderEpoch, result.LastOffset, time.Time{}, alone(done))
}

package broker

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// markers writes the markers of transactions into the partitions, all of which
// this node leads.
type markers struct{ broker *Broker }

// WriteMarkers writes a marker into each of the partitions. done is called once,
// when the last of them is committed or refused.
func (m markers) WriteMarkers(marker step.Marker, partitions []protocol.TopicPartition, done func([]protocol.TopicPartition, error)) {
	c := collected{left: len(partitions) + 1, done: done}
	for _, tp := range partitions {
		m.WriteMarker(marker, tp, func(err error) { c.add(tp, m.settled(marker, tp, err)) })
	}
	c.giveUp()
}

// collected waits for the markers of one transaction.
type collected struct {
	done func([]protocol.TopicPartition, error)

	mu sync.Mutex
	// Guarded by mu.
	left    int
	written []protocol.TopicPartition
	failed  error
}

func (c *collected) add(tp protocol.TopicPartition, err error) {
	c.mu.Lock()
	if err == nil {
		c.written = append(c.written, tp)
	} else {
		c.failed = errors.Join(c.failed, fmt.Errorf("marker in %s: %w", tp, err))
	}
	c.mu.Unlock()
	c.giveUp()
}

// giveUp gives up one share; who gives up the last tells what came of all.
func (c *collected) giveUp() {
	c.mu.Lock()
	c.left--
	last := c.left == 0
	c.mu.Unlock()
	if last {
		c.done(c.written, c.failed)
	}
}

// settled drops the errors that say that a marker need not be written: its topic
// was deleted, or the marker is there and its producer went on.
func (m markers) settled(marker step.Marker, tp protocol.TopicPartition, err error) error {
	switch {
	case marker.Version >= 2 && errors.Is(err, kerr.InvalidProducerEpoch):
		return nil
	case errors.Is(err, kerr.UnknownTopicOrPartition) && !m.exists(tp):
		return nil
	}
	return err
}

func (m markers) exists(tp protocol.TopicPartition) bool {
	t, found := m.broker.view.Image().Topic(tp.Topic)
	return found && int(tp.Partition) < len(t.Partitions)
}

// WriteMarker writes a marker into one partition. done is called once, when it is
// committed or with why it is not. In a partition of __consumer_offsets the group
// coordinator writes it, for it ends the offsets that the transaction committed.
func (m markers) WriteMarker(marker step.Marker, tp protocol.TopicPartition, done func(error)) {
	p, err := m.broker.partitions.Get(tp.Topic, tp.Partition)
	if err != nil {
		done(err)
		return
	}
	if tp.Topic == offsetsTopic {
		m.broker.groups.EndTxn(tp.Partition, marker, done)
		return
	}
	now := time.Now()
	batch, err := record.BuildMarker(marker.ProducerID, marker.ProducerEpoch, marker.CoordinatorEpoch, marker.Commit, now.UnixMilli())
	if err != nil {
		done(fmt.Errorf("build a marker: %w", err))
		return
	}
	result, err := p.Append(batch, log.AppendOptions{Now: now, Origin: log.FromCoordinator, MarkerEpochEach: marker.Version >= 2})
	if err != nil {
		done(err)
		return
	}
	p.WhenCommitted(result.LeaderEpoch, result.LastOffset, time.Time{}, alone(done))
}

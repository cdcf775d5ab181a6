package txn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// Versions of keys and values as Kafka 4.3 writes them
// (docs/formats/transaction-state.md). Values have tagged fields where the
// finalized transaction.version is at least 1.
const (
	keyVersion         = 0
	plainValueVersion  = 0
	taggedValueVersion = 1
)

func key(id string) []byte {
	k := kmsg.TxnMetadataKey{Version: keyVersion, TransactionalID: id}
	return k.AppendTo(nil)
}

func (c *Coordinator) record(t *txn) step.Record {
	v := kmsg.NewTxnMetadataValue()
	v.ProducerID, v.ProducerEpoch, v.TimeoutMillis = t.producer.ID, t.producer.Epoch, t.timeoutMs
	v.State, v.LastUpdateTimestamp, v.StartTimestamp = kmsg.TransactionState(t.state), t.updatedMs, t.startMs
	if t.state != Empty {
		v.Topics = topics(t.sortedPartitions())
	}
	if c.config.Version() >= 1 {
		v.Version = taggedValueVersion
		v.PreviousProducerID, v.NextProducerID, v.ClientTransactionVersion = t.previousID, t.nextID, t.version
	}
	return step.Record{Key: key(t.id), Value: v.AppendTo(nil)}
}

// topics groups sorted partitions.
func topics(sorted []protocol.TopicPartition) []kmsg.TxnMetadataValueTopic {
	grouped := []kmsg.TxnMetadataValueTopic{}
	for _, tp := range sorted {
		if n := len(grouped); n == 0 || grouped[n-1].Topic != tp.Topic {
			grouped = append(grouped, kmsg.TxnMetadataValueTopic{Topic: tp.Topic})
		}
		last := &grouped[len(grouped)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return grouped
}

var errShortKey = errors.New("the key has no version")

// Replay takes in a record that was appended before, in order. Once all were,
// [Coordinator.Loaded] is to be called.
func (c *Coordinator) Replay(key, value []byte, _ time.Time) error {
	if len(key) < 2 {
		return errShortKey
	}
	if version := int16(binary.BigEndian.Uint16(key)); version != keyVersion {
		if !c.unknown[version] {
			c.unknown[version] = true
			c.logger.Warn("records of a kind that is not known here are left alone", "key_version", version)
		}
		return nil
	}
	var k kmsg.TxnMetadataKey
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("key of a transaction: %w", err)
	}
	if value == nil {
		delete(c.txns, k.TransactionalID)
		return nil
	}
	t, err := restore(k.TransactionalID, value)
	if err != nil {
		return fmt.Errorf("transaction of %q: %w", k.TransactionalID, err)
	}
	c.txns[t.id] = t
	return nil
}

func restore(id string, value []byte) (*txn, error) {
	if len(value) < 2 {
		return nil, errors.New("the value has no version")
	}
	if version := int16(binary.BigEndian.Uint16(value)); version < plainValueVersion || version > taggedValueVersion {
		return nil, fmt.Errorf("value version %d is not known here", version)
	}
	var v kmsg.TxnMetadataValue
	if err := v.ReadFrom(value); err != nil {
		return nil, err
	}
	t := &txn{
		id: id, producer: Producer{ID: v.ProducerID, Epoch: v.ProducerEpoch},
		previousID: v.PreviousProducerID, nextID: v.NextProducerID, lastEpoch: -1, timeoutMs: v.TimeoutMillis,
		state: State(v.State), partitions: map[protocol.TopicPartition]bool{},
		startMs: v.StartTimestamp, updatedMs: v.LastUpdateTimestamp, version: v.ClientTransactionVersion,
	}
	if _, known := stateNames[t.state]; !known {
		return nil, fmt.Errorf("state %d is not known here", v.State)
	}
	for _, topic := range v.Topics {
		for _, p := range topic.Partitions {
			t.partitions[protocol.TopicPartition{Topic: topic.Topic, Partition: p}] = true
		}
	}
	return t, nil
}

// Loaded ends a replay: decisions that were not carried out are carried out now.
func (c *Coordinator) Loaded(time.Time) step.Output {
	var out output
	next := c.config.NewestConnection() + 1
	for _, t := range c.sorted() {
		// On which connections clients asked is not known any more. They may have asked
		// another coordinator since, so whatever still comes on one that is there
		// already may be late.
		t.connection = next
		if t.state.prepared() {
			out.Effects = append(out.Effects, c.markersOf(t))
		}
	}
	return out.Output
}

package log

import "time"

// ProducerState is what the partition remembers of a producer.
type ProducerState struct {
	ID               int64
	Epoch            int16
	LastSequence     int32 // -1 where no batch of its epoch is known
	LastTimestamp    int64 // of its last batch or marker, milliseconds
	CoordinatorEpoch int32 // of the last marker, -1 for none
	TxnFirstOffset   int64 // of its open transaction, -1 for none
}

// Producers tells of every producer that is remembered, in no order.
func (l *Log) Producers() []ProducerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]ProducerState, 0, len(l.producers.byID))
	for id, k := range l.producers.byID {
		s := ProducerState{
			ID: id, Epoch: k.epoch, LastSequence: -1, LastTimestamp: k.timestamp,
			CoordinatorEpoch: k.coordinatorEpoch, TxnFirstOffset: k.txnFirstOffset,
		}
		if n := len(k.batches); n > 0 {
			s.LastSequence = k.batches[n-1].LastSequence
		}
		all = append(all, s)
	}
	return all
}

// CountProducers counts the producers that are remembered, and tells whether one of
// them has a transaction open to which it added nothing since a time.
func (l *Log) CountProducers(since time.Time) (n int, late bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.producers.open {
		late = late || l.producers.byID[t.producerID].active < since.UnixMilli()
	}
	return len(l.producers.byID), late
}

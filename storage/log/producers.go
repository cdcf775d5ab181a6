package log

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/record"
)

// Origin is who appends.
type Origin int8

// Origins. A client's sequence numbers are checked; a coordinator has none, and
// what a leader sends was checked by it.
const (
	FromClient Origin = iota
	FromCoordinator
	FromLeader
)

// remembered is how many batches of each producer are remembered, so that one
// sent again is known as a duplicate: as many as a producer may have in flight.
const remembered = 5

// producers is the state of the idempotent and transactional producers of one
// partition (KIP-98). Its owner guards it.
type producers struct {
	byID map[int64]*producer
	open []openTxn // ascending by first offset

	verifying     map[int64]begunVerification // by producer id
	verifications uint64                      // how many were begun
}

// producer is what the partition remembers of one producer.
type producer struct {
	epoch            int16
	batches          []batchMeta // the last few of this epoch, ascending
	timestamp        int64       // of the last batch or marker, milliseconds
	active           int64       // when that was appended or, after a restart, found; milliseconds
	coordinatorEpoch int32       // of the last marker, -1 for none
	txnFirstOffset   int64       // of the open transaction, -1 for none
}

// openTxn is a transaction whose end is not in the log yet.
type openTxn struct{ firstOffset, producerID int64 }

// completedTxn is a transaction that a marker ended.
type completedTxn struct {
	ProducerID  int64
	FirstOffset int64 // of its first batch
	LastOffset  int64 // of the marker
	LastStable  int64 // where the earliest transaction begins that is open after it, else the offset after the marker
	Aborted     bool
}

// batchMeta is what is remembered of one batch.
type batchMeta struct {
	LastSequence int32
	LastOffset   int64
	OffsetDelta  int32
	Timestamp    int64
}

func (m batchMeta) firstOffset() int64   { return m.LastOffset - int64(m.OffsetDelta) }
func (m batchMeta) firstSequence() int32 { return record.AddSequence(m.LastSequence, -m.OffsetDelta) }

func newProducers() *producers {
	return &producers{byID: map[int64]*producer{}, verifying: map[int64]begunVerification{}}
}

// check returns the batch that b repeats, if its producer sent it before, or why
// b may not follow what the producer sent last. The duplicate is valid until the
// next update.
//
// Any sequence number may come first from a producer of which nothing is known:
// what it sent before may have been deleted, and its state with it.
func (p *producers) check(b record.Batch, o *AppendOptions) (duplicate *batchMeta, err error) {
	known := p.byID[b.ProducerID()]
	switch {
	case o.Origin == FromLeader:
		return nil, nil
	case known == nil:
		return nil, p.verified(b, o.Verification)
	}
	if b.ProducerEpoch() < known.epoch {
		return nil, fmt.Errorf("producer %d sends with epoch %d, a newer instance has epoch %d: %w",
			b.ProducerID(), b.ProducerEpoch(), known.epoch, kerr.InvalidProducerEpoch)
	}
	if b.Attributes().Control() {
		return nil, known.endsBy(b, o.MarkerEpochEach)
	}
	if o.Origin == FromClient {
		if m := known.repeated(b); m != nil {
			return m, nil
		}
		if err := known.follows(b); err != nil {
			return nil, err
		}
	}
	if known.txnFirstOffset >= 0 && !b.Attributes().Transactional() {
		return nil, fmt.Errorf("producer %d sends outside of its transaction, which is open since offset %d: %w",
			b.ProducerID(), known.txnFirstOffset, kerr.InvalidTxnState)
	}
	return nil, p.verified(b, o.Verification)
}

// endsBy checks that a marker comes from the present transaction coordinator, and
// that it is not one of a transaction before the open one: where each transaction
// has an epoch of its own (transaction.version 2), the marker's is greater than
// that of the transaction it ends.
func (k *producer) endsBy(b record.Batch, epochEach bool) error {
	m, ok, err := readMarker(b)
	if err != nil {
		return err
	}
	if epochEach && k.txnFirstOffset >= 0 && b.ProducerEpoch() == k.epoch {
		return fmt.Errorf("producer %d: a marker of epoch %d came again, the open transaction has that epoch: %w",
			b.ProducerID(), b.ProducerEpoch(), kerr.InvalidProducerEpoch)
	}
	if ok && m.coordinatorEpoch < k.coordinatorEpoch {
		return fmt.Errorf("producer %d: a transaction coordinator of epoch %d writes a marker, a newer one has epoch %d: %w",
			b.ProducerID(), m.coordinatorEpoch, k.coordinatorEpoch, kerr.TransactionCoordinatorFenced)
	}
	return nil
}

// repeated returns the remembered batch with b's sequence numbers.
func (k *producer) repeated(b record.Batch) *batchMeta {
	if b.ProducerEpoch() != k.epoch {
		return nil
	}
	for i := range k.batches {
		if m := &k.batches[i]; m.firstSequence() == b.BaseSequence() && m.LastSequence == b.LastSequence() {
			return m
		}
	}
	return nil
}

// follows checks that b has the sequence number that comes next: 0 in an epoch of
// which no batch is known, be it a new one or one that began with a marker.
func (k *producer) follows(b record.Batch) error {
	expected := int32(0)
	if n := len(k.batches); n > 0 && b.ProducerEpoch() == k.epoch {
		expected = record.AddSequence(k.batches[n-1].LastSequence, 1)
	}
	if b.BaseSequence() != expected {
		return fmt.Errorf("producer %d, epoch %d: sequence number %d, expected %d: %w",
			b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), expected, kerr.OutOfOrderSequenceNumber)
	}
	return nil
}

// update takes in a batch that was appended at now, in milliseconds, and returns
// the transaction that it ends, if it does. Only a control batch's records are
// looked at; of others the header suffices.
func (p *producers) update(b record.Batch, now int64) (done completedTxn, ended bool) {
	if b.ProducerID() < 0 {
		return done, false
	}
	if b.Attributes().Control() {
		// One without a marker is what compaction leaves of a transaction that is
		// gone altogether; it says nothing.
		if m, ok, err := readMarker(b); ok && err == nil {
			return p.end(b, m, now)
		}
		return done, false
	}
	k := p.enter(b, b.MaxTimestamp(), now)
	k.remember(batchMeta{LastSequence: b.LastSequence(), LastOffset: b.LastOffset(), OffsetDelta: b.LastOffsetDelta(), Timestamp: b.MaxTimestamp()})
	if b.Attributes().Transactional() && k.txnFirstOffset < 0 {
		k.txnFirstOffset = b.BaseOffset()
		p.open = append(p.open, openTxn{firstOffset: b.BaseOffset(), producerID: b.ProducerID()})
		delete(p.verifying, b.ProducerID())
	}
	return done, false
}

// enter returns the state of b's producer, in b's epoch.
func (p *producers) enter(b record.Batch, timestamp, now int64) *producer {
	k := p.byID[b.ProducerID()]
	if k == nil {
		k = &producer{epoch: b.ProducerEpoch(), coordinatorEpoch: -1, txnFirstOffset: -1}
		p.byID[b.ProducerID()] = k
	}
	if k.epoch != b.ProducerEpoch() {
		k.epoch, k.batches = b.ProducerEpoch(), nil
	}
	k.timestamp, k.active = timestamp, now
	return k
}

func (k *producer) remember(m batchMeta) {
	if len(k.batches) < remembered {
		k.batches = append(k.batches, m)
		return
	}
	copy(k.batches, k.batches[1:])
	k.batches[remembered-1] = m
}

// end takes in a marker. A transaction that wrote nothing here ends without a
// trace.
func (p *producers) end(b record.Batch, m marker, now int64) (done completedTxn, ended bool) {
	k := p.enter(b, m.timestamp, now)
	k.coordinatorEpoch = m.coordinatorEpoch
	delete(p.verifying, b.ProducerID())
	if k.txnFirstOffset < 0 {
		return done, false
	}
	done = completedTxn{ProducerID: b.ProducerID(), FirstOffset: k.txnFirstOffset, LastOffset: b.LastOffset(), Aborted: m.aborts}
	k.txnFirstOffset = -1
	p.open = slices.DeleteFunc(p.open, func(t openTxn) bool { return t.producerID == done.ProducerID })
	done.LastStable = done.LastOffset + 1
	if first, open := p.firstUnstable(); open {
		done.LastStable = first
	}
	return done, true
}

// firstUnstable returns the first offset of the earliest open transaction.
func (p *producers) firstUnstable() (offset int64, open bool) {
	if len(p.open) == 0 {
		return 0, false
	}
	return p.open[0].firstOffset, true
}

// expire forgets producers without an open transaction that were silent for
// expiry milliseconds. Silence is told by this broker's clock: the records' own
// timestamps may be years old, and a producer that sends such must not lose its
// state while it is at work.
func (p *producers) expire(now, expiry int64) {
	for id, k := range p.byID {
		if k.txnFirstOffset < 0 && now-k.active >= expiry {
			delete(p.byID, id)
		}
	}
	p.expireVerifications(now, expiry)
}

// marker is a control record that ends a transaction.
type marker struct {
	aborts           bool
	coordinatorEpoch int32
	timestamp        int64 // milliseconds
}

// readMarker reads the marker in a control batch; ok is false where there is
// none. An error wraps kerr.InvalidRecord.
func readMarker(b record.Batch) (m marker, ok bool, err error) {
	err = b.Each(&record.Scratch{}, len(b), func(r *record.Record) error {
		_, kind, known := record.ControlType(r.Key)
		if !known || kind != record.ControlAbort && kind != record.ControlCommit {
			return fmt.Errorf("producer %d: a control record neither commits nor aborts", b.ProducerID())
		}
		epoch, known := record.EndTxnEpoch(r.Value)
		if !known {
			return fmt.Errorf("producer %d: a marker does not name its coordinator's epoch", b.ProducerID())
		}
		m, ok = marker{aborts: kind == record.ControlAbort, coordinatorEpoch: epoch, timestamp: b.Timestamp(r)}, true
		return nil
	})
	if err != nil {
		return m, false, fmt.Errorf("%w: %w", err, kerr.InvalidRecord)
	}
	return m, ok, nil
}

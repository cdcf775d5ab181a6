package retain

import (
	"errors"

	"github.com/klamm-io/klamm/protocol/record"
)

// LastRecord is the last that a log holds of a producer that is active.
type LastRecord struct {
	Offset int64 // of its last record; negative where its epoch has only a marker
	Epoch  int16
}

// KeyPass is the first reading of a log that is compacted: it takes the keys of
// what is dirty into the map. It belongs to one goroutine.
type KeyPass struct {
	keys    *OffsetMap
	from    int64
	taken   int64 // offset after the last record that was taken in
	txns    transactions
	scratch record.Scratch
}

// NewKeyPass begins to read at offset from.
func NewKeyPass(keys *OffsetMap, from int64) *KeyPass {
	return &KeyPass{keys: keys, from: from, taken: from, txns: newTransactions()}
}

// Expect makes aborted transactions known whose batches are still to be read.
func (p *KeyPass) Expect(all []AbortedTxn) { p.txns.expect(all) }

// Batch takes in a batch, which unpacks to at most limit bytes. It reports false
// where the map is full; then some of the batch's records may be taken in, up to
// Taken. What aborted transactions wrote never hides an earlier record of its key.
func (p *KeyPass) Batch(b record.Batch, limit int) (more bool, err error) {
	switch {
	case b.Attributes().Control():
		_, _, err = p.txns.control(b)
	case !p.txns.data(b):
		more, err := p.records(b, limit)
		if err != nil || !more {
			return false, err
		}
	}
	p.Skip(b.NextOffset())
	return true, err
}

// errFull ends the walk over a batch.
var errFull = errors.New("the map of keys is full")

func (p *KeyPass) records(b record.Batch, limit int) (more bool, err error) {
	err = b.Each(&p.scratch, limit, func(r *record.Record) error {
		offset := b.BaseOffset() + int64(r.OffsetDelta)
		if r.Key == nil || offset < p.from {
			return nil
		}
		if !p.keys.Put(r.Key, offset) {
			return errFull
		}
		p.Skip(offset + 1)
		return nil
	})
	if errors.Is(err, errFull) {
		return false, nil
	}
	return err == nil, err
}

// Skip says that nothing lies before offset that was not taken in.
func (p *KeyPass) Skip(offset int64) { p.taken = max(p.taken, offset) }

// Taken is the offset before which everything was taken in.
func (p *KeyPass) Taken() int64 { return p.taken }

// CopyPass is the second reading of a log that is compacted: it decides what of
// each batch stays. It belongs to one goroutine.
type CopyPass struct {
	Keys              *OffsetMap
	Taken             int64                // what KeyPass took in; records from there on stay
	Until             int64                // where the range ends: the batch that ends there stays, if need be without records
	Now               int64                // milliseconds
	DeleteRetentionMs int64                // delete.retention.ms
	Producers         map[int64]LastRecord // those that are active

	txns transactions
}

// Verdict is what becomes of a batch.
type Verdict struct {
	Records    bool        // Record is to be asked for each; else none stays
	Header     bool        // where no record stays, the header does
	SetHorizon bool        // what stays of it gets a delete horizon, if it has none: it is a marker whose transaction is gone
	Ended      *AbortedTxn // goes into the index of transactions
}

// Expect makes aborted transactions known whose batches are still to be read.
func (p *CopyPass) Expect(all []AbortedTxn) {
	if p.txns.aborted == nil {
		p.txns = newTransactions()
	}
	p.txns.expect(all)
}

// Batch decides on a batch. Each of the log's batches must be told, in order.
//
// The last batch of an active producer stays, if need be as a header, so that its
// sequence number survives a recovery that has only the log; for a producer
// whose epoch has only a marker that is the marker. A marker stays as long as its
// transaction has batches, and then until a delete horizon that it gets.
func (p *CopyPass) Batch(b record.Batch) (Verdict, error) {
	v := Verdict{Header: p.isLast(b) || b.NextOffset() == p.Until}
	if !b.Attributes().Control() {
		v.Records = !p.txns.data(b)
		return v, nil
	}
	spent, ended, err := p.txns.control(b)
	horizon, set := b.DeleteHorizon()
	v.Records = !spent || !set || horizon > p.Now
	v.SetHorizon, v.Ended = spent, ended
	return v, err
}

// isLast reports whether b holds the last of an active producer.
func (p *CopyPass) isLast(b record.Batch) bool {
	last, active := p.Producers[b.ProducerID()]
	switch {
	case !active || b.ProducerID() < 0:
		return false
	case last.Offset >= 0:
		return b.LastOffset() == last.Offset
	}
	return b.Attributes().Control() && b.ProducerEpoch() == last.Epoch
}

// Record decides on a record of a batch. One stays that is the newest of its key,
// or that this pass did not take in; without a key it goes. A newest one without
// a value, which deletes the key, goes after its delete horizon.
func (p *CopyPass) Record(b record.Batch, r *record.Record) bool {
	offset := b.BaseOffset() + int64(r.OffsetDelta)
	switch {
	case b.Attributes().Control() || offset >= p.Taken:
		return true
	case r.Key == nil || offset < p.Keys.Get(r.Key):
		return false
	}
	horizon, set := b.DeleteHorizon()
	return r.Value != nil || !set || horizon > p.Now
}

// Horizon is the time from which what is a tombstone now may go, milliseconds.
func (p *CopyPass) Horizon() int64 {
	if p.Now > 1<<62-p.DeleteRetentionMs {
		return 1 << 62
	}
	return p.Now + p.DeleteRetentionMs
}

package retain

import (
	"cmp"
	"slices"

	"github.com/klamm-io/klamm/protocol/record"
)

// AbortedTxn is a transaction that was aborted, as the index of transactions
// tells it.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64 // of its first batch
	LastOffset  int64 // of its marker
	LastStable  int64 // the last stable offset right after the marker
}

// transactions follows the transactions of a log while its batches are read in
// order: which batches belong to an aborted one, and which markers end a
// transaction that has no batch any more.
type transactions struct {
	ahead     []AbortedTxn         // ascending by first offset, not begun yet
	aborted   map[int64]*openAbort // by producer: begun, their marker not read yet
	committed map[int64]bool       // producers with a batch of a transaction that is not aborted, its marker not read yet
}

// openAbort is an aborted transaction whose marker comes yet.
type openAbort struct {
	AbortedTxn
	hasBatch bool // one was read
}

func newTransactions() transactions {
	return transactions{aborted: map[int64]*openAbort{}, committed: map[int64]bool{}}
}

// expect makes aborted transactions known whose batches are still to be read. One
// that is known already may be told again.
func (t *transactions) expect(all []AbortedTxn) {
	t.ahead = append(t.ahead, all...)
	slices.SortFunc(t.ahead, func(a, b AbortedTxn) int {
		return cmp.Or(cmp.Compare(a.FirstOffset, b.FirstOffset), cmp.Compare(a.ProducerID, b.ProducerID))
	})
	t.ahead = slices.Compact(t.ahead)
}

// begin lets the aborted transactions begin that have a batch at offset or before.
func (t *transactions) begin(offset int64) {
	n := 0
	for ; n < len(t.ahead) && t.ahead[n].FirstOffset <= offset; n++ {
		if a := t.ahead[n]; t.aborted[a.ProducerID] == nil {
			t.aborted[a.ProducerID] = &openAbort{AbortedTxn: a}
		}
	}
	t.ahead = t.ahead[n:]
}

// data takes in a batch that is not a control batch, and reports whether it
// belongs to an aborted transaction.
func (t *transactions) data(b record.Batch) bool {
	t.begin(b.LastOffset())
	if !b.Attributes().Transactional() {
		return false
	}
	if a := t.aborted[b.ProducerID()]; a != nil {
		a.hasBatch = true
		return true
	}
	t.committed[b.ProducerID()] = true
	return false
}

// control takes in a control batch. spent says that no batch of the transaction
// that it ends was read; of an aborted one that has batches it returns the entry
// for the index.
func (t *transactions) control(b record.Batch) (spent bool, ended *AbortedTxn, err error) {
	t.begin(b.LastOffset())
	kind, found, err := markerKind(b)
	if err != nil {
		return false, nil, err
	}
	switch {
	case !found:
		return true, nil, nil // only what compaction left of one
	case kind == record.ControlAbort:
		a := t.aborted[b.ProducerID()]
		delete(t.aborted, b.ProducerID())
		if a == nil || !a.hasBatch {
			return true, nil, nil
		}
		return false, &a.AbortedTxn, nil
	case kind == record.ControlCommit:
		spent = !t.committed[b.ProducerID()]
		delete(t.committed, b.ProducerID())
		return spent, nil, nil
	}
	return false, nil, nil
}

// markerKind is the kind of a control batch's record; found is false where there
// is none. A kind that is not known is -1.
func markerKind(b record.Batch) (kind int16, found bool, err error) {
	err = b.Each(&record.Scratch{}, len(b), func(r *record.Record) error {
		found, kind = true, -1
		if _, k, known := record.ControlType(r.Key); known {
			kind = k
		}
		return nil
	})
	return kind, found, err
}

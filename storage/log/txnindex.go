package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/internal/breakage"
	"github.com/klamm-io/klamm/storage/disk"
)

// txnIndex tells which transactions were aborted by a marker in its segment (the
// .txnindex file): readers of committed records must not be given theirs. Most
// segments have none, and no file.
type txnIndex struct {
	mu      sync.Mutex
	entries entries // guarded by mu; ascending by the marker's offset
}

const (
	txnEntryWidth   = 2 + 8 + 8 + 8 + 8
	txnEntryVersion = 0
)

// abortedTxn is an entry.
type abortedTxn struct {
	AbortedTxn
	lastOffset int64 // of the marker
	lastStable int64 // the last stable offset right after it
}

var errTxnIndex = errors.New("not a sound index of transactions")

func newTxnIndex(fs disk.FS, path string) txnIndex {
	return txnIndex{entries: newEntries(fs, path+".txnindex", txnEntryWidth)}
}

func (a abortedTxn) encode() []byte {
	out := make([]byte, 0, txnEntryWidth)
	out = binary.BigEndian.AppendUint16(out, txnEntryVersion)
	for _, field := range [...]int64{a.ProducerID, a.FirstOffset, a.lastOffset, a.lastStable} {
		out = binary.BigEndian.AppendUint64(out, uint64(field))
	}
	return out
}

func decodeAbortedTxn(entry []byte) (abortedTxn, error) {
	if version := binary.BigEndian.Uint16(entry); version != txnEntryVersion {
		return abortedTxn{}, fmt.Errorf("%w: an entry of version %d", errTxnIndex, version)
	}
	field := func(i int) int64 { return int64(binary.BigEndian.Uint64(entry[2+8*i:])) }
	return abortedTxn{AbortedTxn: AbortedTxn{ProducerID: field(0), FirstOffset: field(1)}, lastOffset: field(2), lastStable: field(3)}, nil
}

// append adds a transaction that was aborted; one that was committed has no
// entry. The markers' offsets grow.
func (x *txnIndex) append(t completedTxn) {
	if !t.Aborted || breakage.Is(breakage.ForgottenAbort) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.entries.append(abortedTxn{
		AbortedTxn: AbortedTxn{ProducerID: t.ProducerID, FirstOffset: t.FirstOffset},
		lastOffset: t.LastOffset,
		lastStable: t.LastStable,
	}.encode())
}

// all returns every entry.
func (x *txnIndex) all() (all []abortedTxn, err error) {
	err = x.each(func(a abortedTxn) bool {
		all = append(all, a)
		return true
	})
	return all, err
}

// collect appends to dst the aborted transactions of this segment that have
// records in [from, to). It reports whether later segments may hold more: not so
// once a marker left no transaction open below to.
func (x *txnIndex) collect(dst []AbortedTxn, from, to int64) (all []AbortedTxn, more bool, err error) {
	more = true
	err = x.each(func(a abortedTxn) bool {
		if a.lastOffset >= from && a.FirstOffset < to {
			dst = append(dst, a.AbortedTxn)
		}
		more = a.lastStable < to
		return more
	})
	return dst, more, err
}

// each calls visit for every entry until it returns false. The markers' offsets
// must grow: else the file is not what was written.
func (x *txnIndex) each(visit func(abortedTxn) bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	previous := int64(math.MinInt64)
	for i := range x.entries.len() {
		entry, err := x.entries.at(i)
		if err != nil {
			return err
		}
		a, err := decodeAbortedTxn(entry)
		if err == nil && (a.lastOffset <= previous || a.FirstOffset > a.lastOffset) {
			err = fmt.Errorf("%w: offsets %d to %d follow %d", errTxnIndex, a.FirstOffset, a.lastOffset, previous)
		}
		if err != nil {
			return fmt.Errorf("%s, entry %d: %w", x.entries.name, i, err)
		}
		if !visit(a) {
			return nil
		}
		previous = a.lastOffset
	}
	return nil
}

// cutFrom forgets every transaction whose marker is at offset or later.
func (x *txnIndex) cutFrom(offset int64) error {
	keep := 0
	err := x.each(func(a abortedTxn) bool {
		if a.lastOffset >= offset {
			return false
		}
		keep++
		return true
	})
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.cut(keep)
}

// clear forgets every transaction, also where the entries cannot be read.
func (x *txnIndex) clear() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.cut(0)
}

// load takes over a file of size bytes.
func (x *txnIndex) load(size int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.load(size)
}

func (x *txnIndex) store() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.store()
}

// sync makes the entries durable. Without any there is no file to make.
func (x *txnIndex) sync() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.entries.len() == 0 {
		return nil
	}
	return x.entries.sync()
}

// AbortedTransactions returns the aborted transactions that have records from
// offset from up to but not including to.
func (l *Log) AbortedTransactions(from, to int64) ([]AbortedTxn, error) {
	for {
		all, err := l.abortedTransactions(from, to)
		switch {
		case err == nil:
			return all, nil
		case !errors.Is(err, errRetired):
			return nil, fmt.Errorf("aborted transactions of %s: %w", l, readError(err))
		case l.closed.Load():
			return nil, fmt.Errorf("aborted transactions of %s: %w: %w", l, err, kerr.UnknownTopicOrPartition)
		}
		// A segment was deleted or replaced meanwhile: look again.
	}
}

func (l *Log) abortedTransactions(from, to int64) (all []AbortedTxn, err error) {
	segments := *l.segments.Load()
	all = []AbortedTxn{}
	var more bool
	for _, s := range segments[max(0, segmentIndex(segments, from)):] {
		if all, more, err = s.txns.collect(all, from, to); err != nil || !more {
			return all, err
		}
	}
	return all, nil
}

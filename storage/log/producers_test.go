package log

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/protocol/record"
)

// sent is a batch of a producer as a test writes it.
type sent struct {
	producer int64
	epoch    int16
	sequence int32
	count    int
	offset   int64
	txn      bool
}

func (s sent) batch(t testing.TB) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional, b.BaseOffset = s.producer, s.epoch, s.sequence, s.txn, s.offset
	for i := range max(s.count, 1) {
		b.Append(1000+s.offset+int64(i), nil, []byte("v"))
	}
	return mustBuild(t, b)
}

func mustBuild(t testing.TB, b *record.Builder) record.Batch {
	t.Helper()
	batch, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// markerBatch ends a transaction.
func markerBatch(t testing.TB, producer int64, epoch int16, kind int16, coordinator int32, offset int64) record.Batch {
	t.Helper()
	return controlBatch(t, producer, epoch, offset, record.AppendControlKey(nil, kind), record.AppendEndTxnValue(nil, coordinator))
}

func controlBatch(t testing.TB, producer int64, epoch int16, offset int64, key, value []byte) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.Transactional, b.Control, b.BaseOffset = producer, epoch, true, true, offset
	b.Append(5000+offset, key, value)
	return mustBuild(t, b)
}

func TestCheckProducer(t *testing.T) {
	plain := []sent{{9, 3, 0, 10, 100, false}, {9, 3, 10, 5, 110, false}}
	wrap := []sent{{9, 3, math.MaxInt32 - 4, 5, 100, false}}
	for _, c := range []struct {
		name    string
		before  []sent
		next    sent
		from    Origin
		want    error
		repeats int64 // base offset of the batch that is repeated, -1 for none
	}{
		{"the next", plain, sent{9, 3, 15, 1, 0, false}, FromClient, nil, -1},
		{"a gap", plain, sent{9, 3, 16, 1, 0, false}, FromClient, kerr.OutOfOrderSequenceNumber, -1},
		{"the last again", plain, sent{9, 3, 10, 5, 0, false}, FromClient, nil, 110},
		{"the one before again", plain, sent{9, 3, 0, 10, 0, false}, FromClient, nil, 100},
		{"a part of the last again", plain, sent{9, 3, 10, 4, 0, false}, FromClient, kerr.OutOfOrderSequenceNumber, -1},
		{"the end of the last again", plain, sent{9, 3, 11, 4, 0, false}, FromClient, kerr.OutOfOrderSequenceNumber, -1},
		{"an unknown producer, any number", plain, sent{8, 3, 77, 1, 0, false}, FromClient, nil, -1},
		{"a new epoch from 0", plain, sent{9, 4, 0, 1, 0, false}, FromClient, nil, -1},
		{"a new epoch, going on", plain, sent{9, 4, 15, 1, 0, false}, FromClient, kerr.OutOfOrderSequenceNumber, -1},
		{"a new epoch, the numbers of the last", plain, sent{9, 4, 10, 5, 0, false}, FromClient, kerr.OutOfOrderSequenceNumber, -1},
		{"an old epoch", plain, sent{9, 2, 15, 1, 0, false}, FromClient, kerr.InvalidProducerEpoch, -1},
		{"an old epoch, the last again", plain, sent{9, 2, 10, 5, 0, false}, FromClient, kerr.InvalidProducerEpoch, -1},
		{"after the largest comes 0", wrap, sent{9, 3, 0, 1, 0, false}, FromClient, nil, -1},
		{"after the largest comes no other", wrap, sent{9, 3, 1, 1, 0, false}, FromClient, kerr.OutOfOrderSequenceNumber, -1},
		{"over the largest", []sent{{9, 3, math.MaxInt32 - 1, 4, 100, false}}, sent{9, 3, 2, 1, 0, false}, FromClient, nil, -1},
		{"over the largest, again", []sent{{9, 3, math.MaxInt32 - 1, 4, 100, false}}, sent{9, 3, math.MaxInt32 - 1, 4, 0, false}, FromClient, nil, 100},
		{"a coordinator counts nothing", plain, sent{9, 3, -1, 1, 0, false}, FromCoordinator, nil, -1},
		{"a coordinator does not repeat", plain, sent{9, 3, 10, 5, 0, false}, FromCoordinator, nil, -1},
		{"a coordinator of an old epoch", plain, sent{9, 2, -1, 1, 0, false}, FromCoordinator, kerr.InvalidProducerEpoch, -1},
		{"what a leader sends was checked", plain, sent{9, 2, 99, 1, 0, false}, FromLeader, nil, -1},
		{"inside a transaction", []sent{{9, 3, 0, 1, 100, true}}, sent{9, 3, 1, 1, 0, true}, FromClient, nil, -1},
		{"outside of the open transaction", []sent{{9, 3, 0, 1, 100, true}}, sent{9, 3, 1, 1, 0, false}, FromClient, kerr.InvalidTxnState, -1},
		{"a coordinator outside of it", []sent{{9, 3, 0, 1, 100, true}}, sent{9, 3, -1, 1, 0, false}, FromCoordinator, kerr.InvalidTxnState, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProducers()
			for _, s := range c.before {
				p.update(s.batch(t), 0)
			}
			duplicate, err := p.check(c.next.batch(t), &AppendOptions{Origin: c.from})
			if !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
			switch {
			case duplicate == nil && c.repeats >= 0:
				t.Errorf("not known as the batch at %d", c.repeats)
			case duplicate != nil && duplicate.firstOffset() != c.repeats:
				t.Errorf("known as the batch at %d, want %d", duplicate.firstOffset(), c.repeats)
			}
		})
	}
}

func TestFiveBatchesAreRemembered(t *testing.T) {
	p := newProducers()
	for i := range int32(7) {
		p.update(sent{9, 0, i * 2, 2, 100 + int64(i)*2, false}.batch(t), 0)
	}
	for i := range int32(7) {
		duplicate, err := p.check(sent{9, 0, i * 2, 2, 0, false}.batch(t), &AppendOptions{Origin: FromClient})
		if i < 2 {
			if !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
				t.Errorf("batch %d, forgotten: got %v, %v", i, duplicate, err)
			}
			continue
		}
		if err != nil || duplicate == nil || duplicate.firstOffset() != 100+int64(i)*2 || duplicate.LastOffset != 101+int64(i)*2 || duplicate.Timestamp != 1000+duplicate.LastOffset {
			t.Errorf("batch %d: got %+v, %v", i, duplicate, err)
		}
	}
	p.update(sent{9, 1, 0, 1, 200, false}.batch(t), 0)
	if duplicate, err := p.check(sent{9, 1, 12, 2, 0, false}.batch(t), &AppendOptions{Origin: FromClient}); duplicate != nil || err == nil {
		t.Errorf("a batch of the epoch before is remembered: %v, %v", duplicate, err)
	}
}

func TestBatchesWithoutAProducerLeaveNoTrace(t *testing.T) {
	p := newProducers()
	p.update(sent{-1, -1, -1, 1, 0, false}.batch(t), 0)
	if len(p.byID) != 0 {
		t.Errorf("got %v", p.byID)
	}
}

func TestTransactions(t *testing.T) {
	p := newProducers()
	wantUnstable := func(want int64) {
		t.Helper()
		if got, open := p.firstUnstable(); open != (want >= 0) || open && got != want {
			t.Fatalf("first unstable offset: got %d, %v; want %d", got, open, want)
		}
	}
	wantDone := func(b record.Batch, want completedTxn) {
		t.Helper()
		if got, ended := p.update(b, 0); got != want || ended != (want != completedTxn{}) {
			t.Fatalf("got %+v, %v; want %+v", got, ended, want)
		}
	}
	wantUnstable(-1)
	wantDone(sent{1, 0, 0, 5, 10, true}.batch(t), completedTxn{})
	wantDone(sent{2, 0, 0, 5, 15, true}.batch(t), completedTxn{})
	wantDone(sent{1, 0, 5, 5, 20, true}.batch(t), completedTxn{})
	wantDone(sent{3, 0, 0, 5, 25, false}.batch(t), completedTxn{})
	wantUnstable(10)
	wantDone(markerBatch(t, 2, 0, record.ControlAbort, 7, 30), completedTxn{ProducerID: 2, FirstOffset: 15, LastOffset: 30, LastStable: 10, Aborted: true})
	wantUnstable(10)
	wantDone(sent{2, 0, 5, 1, 31, true}.batch(t), completedTxn{})
	wantDone(markerBatch(t, 1, 1, record.ControlCommit, 7, 32), completedTxn{ProducerID: 1, FirstOffset: 10, LastOffset: 32, LastStable: 31})
	wantUnstable(31)
	wantDone(markerBatch(t, 2, 0, record.ControlCommit, 7, 33), completedTxn{ProducerID: 2, FirstOffset: 31, LastOffset: 33, LastStable: 34})
	wantUnstable(-1)
	wantDone(markerBatch(t, 2, 0, record.ControlAbort, 8, 34), completedTxn{})
	wantDone(markerBatch(t, 4, 0, record.ControlAbort, 8, 35), completedTxn{})

	// Markers keep the batches of their epoch, and forget those of an older one.
	if duplicate, _ := p.check(sent{2, 0, 0, 5, 0, true}.batch(t), &AppendOptions{Origin: FromClient}); duplicate == nil {
		t.Error("a marker made a producer's batches forgotten")
	}
	for sequence, want := range map[int32]error{0: nil, 10: kerr.OutOfOrderSequenceNumber} {
		o := &AppendOptions{Verification: p.beginVerification(1, 1, 0)}
		if _, err := p.check(sent{1, 1, sequence, 1, 0, true}.batch(t), o); !errors.Is(err, want) {
			t.Errorf("sequence %d in the epoch that a marker began: got %v, want %v", sequence, err, want)
		}
	}
}

func TestCheckMarker(t *testing.T) {
	p := newProducers()
	p.update(sent{1, 5, 0, 1, 10, true}.batch(t), 0)
	p.update(markerBatch(t, 1, 5, record.ControlCommit, 7, 11), 0)
	for _, c := range []struct {
		name  string
		batch record.Batch
		from  Origin
		want  error
	}{
		{"the same epochs", markerBatch(t, 1, 5, record.ControlAbort, 7, 0), FromCoordinator, nil},
		{"newer epochs", markerBatch(t, 1, 6, record.ControlAbort, 8, 0), FromCoordinator, nil},
		{"an old producer epoch", markerBatch(t, 1, 4, record.ControlAbort, 8, 0), FromCoordinator, kerr.InvalidProducerEpoch},
		{"an old coordinator epoch", markerBatch(t, 1, 6, record.ControlAbort, 6, 0), FromCoordinator, kerr.TransactionCoordinatorFenced},
		{"an old coordinator epoch from the leader", markerBatch(t, 1, 6, record.ControlAbort, 6, 0), FromLeader, nil},
		{"an unknown kind", markerBatch(t, 1, 6, 2, 8, 0), FromCoordinator, kerr.InvalidRecord},
		{"a short value", controlBatch(t, 1, 6, 0, record.AppendControlKey(nil, record.ControlAbort), []byte{0, 0, 1}), FromCoordinator, kerr.InvalidRecord},
		{"a short key", controlBatch(t, 1, 6, 0, []byte{0, 0}, record.AppendEndTxnValue(nil, 8)), FromCoordinator, kerr.InvalidRecord},
	} {
		if _, err := p.check(c.batch, &AppendOptions{Origin: c.from}); !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	// What cannot be read changes nothing.
	before := p.encode()
	p.update(markerBatch(t, 1, 6, 2, 8, 12), 0)
	if string(p.encode()) != string(before) {
		t.Error("an unknown kind of control record changed a producer's state")
	}
}

func TestExpireProducers(t *testing.T) {
	p := newProducers()
	p.update(sent{1, 0, 0, 1, 0, false}.batch(t), 1000)
	p.update(sent{2, 0, 0, 1, 1, false}.batch(t), 1001)
	p.update(sent{3, 0, 0, 1, 2, true}.batch(t), 1000)
	p.expire(2000, 1000)
	for id, want := range map[int64]bool{1: false, 2: true, 3: true} {
		if got := p.byID[id] != nil; got != want {
			t.Errorf("producer %d: known %v, want %v", id, got, want)
		}
	}
	p.update(markerBatch(t, 3, 0, record.ControlAbort, 1, 3), 2500)
	p.expire(3499, 1000)
	if p.byID[3] == nil {
		t.Error("a marker is a sign of life")
	}
	p.expire(3500, 1000)
	if len(p.byID) != 0 {
		t.Errorf("%d producers are left", len(p.byID))
	}
}

// A producer that sends each batch until it is acknowledged, up to five at once,
// over a connection that loses requests and answers: each batch is written once
// and in its order, and one sent again is known. A restart in between, with
// nothing unacknowledged, changes nothing.
func TestProducerRetriesWriteOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, start := newProducers(), rapid.SampledFrom([]int32{0, math.MaxInt32 - 20}).Draw(t, "start")
		acked, written := int32(0), int32(0) // batches, of one record each
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			n := acked
			if written > 0 { // before that any number would do
				n += rapid.Int32Range(0, remembered-1).Draw(t, "ahead")
			}
			b := rapidBatch(record.AddSequence(start, n), int64(written))
			duplicate, err := p.check(b, &AppendOptions{Origin: FromClient})
			if (duplicate != nil) != (n < written) || (err != nil) != (n > written) || duplicate != nil && duplicate.LastOffset != int64(n) {
				t.Fatalf("batch %d when %d are written: duplicate %+v, error %v", n, written, duplicate, err)
			}
			if n == written {
				p.update(b, 0)
				written++
			}
			if n == acked && rapid.Bool().Draw(t, "answered") {
				acked++
			}
			if acked == written && rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
				if p, err = decodeProducers(p.encode(), 0); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func rapidBatch(sequence int32, offset int64) record.Batch {
	b := record.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.BaseOffset = 9, 0, sequence, offset
	b.Append(1000, nil, []byte("v"))
	batch, err := b.Build(nil)
	if err != nil {
		panic(fmt.Sprintf("build a batch: %v", err))
	}
	return batch
}

// rapidTxnBatch is a batch of one of three producers: a part of its transaction,
// or the end of it.
func rapidTxnBatch(t *rapid.T, p *producers, offset int64) record.Batch {
	b := record.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.Transactional, b.BaseOffset = rapid.Int64Range(1, 3).Draw(t, "producer"), 0, true, offset
	if k := p.byID[b.ProducerID]; k != nil && len(k.batches) > 0 {
		b.BaseSequence = record.AddSequence(k.batches[len(k.batches)-1].LastSequence, 1)
	}
	if b.Control = rapid.Bool().Draw(t, "ends"); b.Control {
		kind := rapid.SampledFrom([]int16{record.ControlAbort, record.ControlCommit}).Draw(t, "kind")
		b.Append(offset, record.AppendControlKey(nil, kind), record.AppendEndTxnValue(nil, 0))
	} else {
		b.Append(offset, nil, []byte("v"))
	}
	batch, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

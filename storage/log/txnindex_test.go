package log

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/storage/disk"
)

func testTxnIndex(t *testing.T, m *disk.Memory, done ...completedTxn) *txnIndex {
	t.Helper()
	x := newTxnIndex(m, "00000000000000000000")
	for _, d := range done {
		x.append(d)
	}
	return &x
}

func aborted(producer, first, last, stable int64) completedTxn {
	return completedTxn{ProducerID: producer, FirstOffset: first, LastOffset: last, LastStable: stable, Aborted: true}
}

// someAborted has two transactions that overlap, and a later one.
func someAborted() []completedTxn {
	return []completedTxn{aborted(1, 12, 20, 10), aborted(2, 10, 25, 26), aborted(1, 40, 45, 46)}
}

func TestTxnIndexIsThatOfKafka(t *testing.T) {
	p := newProducers()
	for _, segment := range []string{"00000000000000000000", "00000000000000000028"} {
		m := disk.NewMemory()
		x := testTxnIndex(t, m, replayKafka(t, p, segment+".log")...)
		if err := x.sync(); err != nil {
			t.Fatal(err)
		}
		want := kafkaFile(t, segment+".txnindex")
		if got := []byte(contentOf(t, m, "00000000000000000000.txnindex")); !bytes.Equal(got, want) {
			t.Errorf("segment %s: wrote\n%x\nKafka wrote\n%x", segment, got, want)
		}
	}
}

func TestCollectAborted(t *testing.T) {
	x := testTxnIndex(t, disk.NewMemory(), someAborted()...)
	for _, c := range []struct {
		from, to int64
		want     []AbortedTxn
		more     bool
	}{
		{0, 10, nil, false},
		{0, 11, []AbortedTxn{{2, 10}}, false},
		{0, 13, []AbortedTxn{{1, 12}, {2, 10}}, false},
		{20, 26, []AbortedTxn{{1, 12}, {2, 10}}, false},
		{21, 26, []AbortedTxn{{2, 10}}, false},
		{21, 27, []AbortedTxn{{2, 10}}, false},
		{25, 41, []AbortedTxn{{2, 10}, {1, 40}}, false},
		{26, 41, []AbortedTxn{{1, 40}}, false},
		{26, 46, []AbortedTxn{{1, 40}}, false},
		{26, 47, []AbortedTxn{{1, 40}}, true},
		{46, 100, nil, true},
	} {
		got, more, err := x.collect(nil, c.from, c.to)
		if err != nil || more != c.more || !slices.Equal(got, c.want) {
			t.Errorf("from %d to %d: got %v, more %v, %v; want %v, more %v", c.from, c.to, got, more, err, c.want, c.more)
		}
	}
	before := AbortedTxn{ProducerID: 9, FirstOffset: 1}
	if got, _, _ := x.collect([]AbortedTxn{before}, 26, 47); !slices.Equal(got, []AbortedTxn{before, {1, 40}}) {
		t.Errorf("what an earlier segment had is lost: got %v", got)
	}
}

func TestNoAbortedTransactionsNoFile(t *testing.T) {
	m := disk.NewMemory()
	x := testTxnIndex(t, m, completedTxn{ProducerID: 1, FirstOffset: 1, LastOffset: 2, LastStable: 3})
	if err := errors.Join(x.sync(), x.store(), x.clear(), x.cutFrom(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Stat("00000000000000000000.txnindex"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat: got %v", err)
	}
	if got, more, err := x.collect(nil, 0, 100); got != nil || !more || err != nil {
		t.Errorf("got %v, more %v, %v", got, more, err)
	}
}

func TestTxnIndexAcrossARestart(t *testing.T) {
	for cut, keep := range map[int64]int{0: 0, 20: 0, 21: 1, 25: 1, 26: 2, 45: 2, 46: 3, 100: 3} {
		m := disk.NewMemory()
		if err := testTxnIndex(t, m, someAborted()...).sync(); err != nil {
			t.Fatal(err)
		}
		x := testTxnIndex(t, m)
		if err := x.load(3 * txnEntryWidth); err != nil {
			t.Fatal(err)
		}
		if err := x.cutFrom(cut); err != nil {
			t.Fatal(err)
		}
		all, err := x.all()
		if err != nil || len(all) != keep {
			t.Errorf("cut from %d: got %v, %v; want %d entries", cut, all, err, keep)
		}
		if size := len(contentOf(t, m, "00000000000000000000.txnindex")); size != keep*txnEntryWidth {
			t.Errorf("cut from %d: the file has %d bytes, want %d entries", cut, size, keep)
		}
	}
}

func TestDamagedTxnIndex(t *testing.T) {
	entry := func(version byte, first, last byte) []byte {
		e := make([]byte, txnEntryWidth)
		e[1], e[17], e[25], e[33] = version, first, last, last+1
		return e
	}
	for name, content := range map[string][]byte{
		"zeros after an entry":     append(entry(0, 1, 5), make([]byte, txnEntryWidth)...),
		"another version":          entry(1, 1, 5),
		"a marker before its txn":  entry(0, 6, 5),
		"markers that do not grow": append(entry(0, 1, 5), entry(0, 2, 5)...),
	} {
		m := memoryWith(t, "00000000000000000000.txnindex", string(content))
		x := testTxnIndex(t, m)
		if err := x.load(int64(len(content))); err != nil {
			t.Fatal(err)
		}
		if _, _, err := x.collect(nil, 0, 1000); !errors.Is(err, errTxnIndex) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := x.cutFrom(1000); !errors.Is(err, errTxnIndex) {
			t.Errorf("%s: cut: got %v", name, err)
		}
		if err := x.clear(); err != nil {
			t.Errorf("%s: clear: got %v", name, err)
		}
		if size := len(contentOf(t, m, "00000000000000000000.txnindex")); size != 0 {
			t.Errorf("%s: %d bytes are left", name, size)
		}
	}
	if err := testTxnIndex(t, disk.NewMemory()).load(txnEntryWidth + 1); err == nil {
		t.Error("a file that is no whole number of entries was accepted")
	}
}

// For whatever transactions a log has: a reader of any stretch below the last
// stable offset is told of exactly those aborted that have records in it.
func TestCollectFindsEveryAbortedTransaction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, all, x := newProducers(), []completedTxn(nil), newTxnIndex(disk.NewMemory(), "x")
		end := rapid.Int64Range(1, 40).Draw(t, "records")
		for offset := range end {
			if d, ended := p.update(rapidTxnBatch(t, p, offset), 0); ended {
				all = append(all, d)
				x.append(d)
			}
		}
		stable := end
		if first, open := p.firstUnstable(); open {
			stable = first
		}
		from := rapid.Int64Range(0, stable).Draw(t, "from")
		to := rapid.Int64Range(from, stable).Draw(t, "to")
		var want []AbortedTxn
		for _, d := range all {
			if d.Aborted && d.FirstOffset < to && d.LastOffset >= from {
				want = append(want, AbortedTxn{ProducerID: d.ProducerID, FirstOffset: d.FirstOffset})
			}
		}
		if got, _, err := x.collect(nil, from, to); err != nil || !slices.Equal(got, want) {
			t.Fatalf("from %d to %d: got %v, %v; want %v", from, to, got, err, want)
		}
	})
}

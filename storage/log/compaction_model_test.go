package log

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
)

// keyed is a record as a reader of committed records is given it.
type keyed struct {
	offset    int64
	timestamp int64
	key       string
	value     string
	tombstone bool
}

// compactConfig is a compacted topic with small segments.
func compactConfig() Config {
	c := testConfig()
	c.Delete, c.Compact = false, true
	c.SegmentBytes, c.IndexIntervalBytes, c.MaxMessageBytes = 4000, 200, 4000
	c.MinDirtyRatio, c.DeleteRetention, c.MaxCompactionLag = 0, time.Hour, 1<<62
	c.SegmentAge = 1000 * time.Hour
	return c
}

func testCleaner(d *Dir, dedupe int64) *Cleaner {
	return NewCleaner(CleanerConfig{Threads: 1, DedupeBytes: dedupe, LoadFactor: 0.9, IOBufferBytes: 1, BytesPerSecond: math.MaxFloat64, Backoff: time.Millisecond},
		[]*Dir{d}, slog.New(slog.NewTextHandler(io.Discard, nil)))
}

// compactAll compacts until nothing is worth it any more.
func compactAll(t testing.TB, c *Cleaner, now time.Time) {
	t.Helper()
	for w := c.newCompactor(); w.once(t.Context(), now); {
	}
	if s := c.State(now); s.Failures > 0 {
		t.Fatalf("compaction failed: %+v, %v", s, c.uncleanable)
	}
}

// writer appends what chance decides, and knows what committed readers must see.
type writer struct {
	tb    testing.TB
	rng   *rand.Rand
	log   *Log
	now   time.Time
	keys  int
	all   []keyed         // committed, ascending by offset
	open  map[int64]*txn  // by producer
	last  map[int64]int32 // last sequence number by producer
	codec compress.Codec
}

type txn struct{ written []keyed }

func newWriter(tb testing.TB, rng *rand.Rand, l *Log) *writer {
	return &writer{tb: tb, rng: rng, log: l, now: testTime, keys: 1 + rng.IntN(40), open: map[int64]*txn{}, last: map[int64]int32{}}
}

// step appends one batch or one marker.
func (w *writer) step() {
	w.tb.Helper()
	w.now = w.now.Add(time.Duration(w.rng.IntN(int(time.Minute))))
	w.codec = compress.Codec(w.rng.IntN(5))
	switch producer := int64(100 + w.rng.IntN(3)); {
	case w.open[producer] != nil && w.rng.IntN(3) == 0:
		w.end(producer)
	case w.open[producer] != nil || w.rng.IntN(4) == 0:
		if w.open[producer] == nil {
			w.open[producer] = &txn{}
		}
		w.open[producer].written = append(w.open[producer].written, w.batch(producer, true)...)
	default:
		w.all = append(w.all, w.batch([]int64{-1, 7, 8}[w.rng.IntN(3)], false)...)
	}
}

// end ends a producer's transaction, either way.
func (w *writer) end(producer int64) {
	w.tb.Helper()
	kind := []int16{record.ControlAbort, record.ControlCommit}[w.rng.IntN(2)]
	marker := markerBatch(w.tb, producer, 0, kind, 1, 0)
	w.append(marker)
	if kind == record.ControlCommit {
		w.all = append(w.all, w.open[producer].written...)
	}
	delete(w.open, producer)
}

func (w *writer) endAll() {
	w.tb.Helper()
	for producer := range int64(3) {
		if w.open[100+producer] != nil {
			w.end(100 + producer)
		}
	}
}

func (w *writer) batch(producer int64, transactional bool) []keyed {
	w.tb.Helper()
	b := record.NewBuilder()
	b.Codec = w.codec
	var records []keyed
	for i := range 1 + w.rng.IntN(8) {
		r := keyed{
			key: fmt.Sprintf("key-%d", w.rng.IntN(w.keys)), value: fmt.Sprintf("value-%d-%d", w.log.End(), i),
			tombstone: w.rng.IntN(4) == 0, timestamp: w.now.UnixMilli() + int64(i),
		}
		var value []byte
		if !r.tombstone {
			value = []byte(r.value)
		}
		b.Append(r.timestamp, []byte(r.key), value, record.Header{Key: []byte("h"), Value: []byte{byte(i)}})
		records = append(records, r)
	}
	if producer >= 0 {
		b.ProducerID, b.ProducerEpoch, b.Transactional = producer, 0, transactional
		b.BaseSequence = 0
		if last, known := w.last[producer]; known {
			b.BaseSequence = record.AddSequence(last, 1)
		}
		w.last[producer] = record.AddSequence(b.BaseSequence, int32(len(records)-1))
	}
	base := w.append(mustBuild(w.tb, b)).BaseOffset
	for i := range records {
		records[i].offset = base + int64(i)
	}
	return records
}

func (w *writer) append(b record.Batch) AppendResult {
	w.tb.Helper()
	r, err := w.log.Append(b, AppendOptions{Now: w.now, LeaderEpoch: 3, Origin: FromLeader})
	if err != nil {
		w.tb.Fatal(err)
	}
	return r
}

// commit makes all that was written committed.
func commit(tb testing.TB, l *Log) {
	tb.Helper()
	waitFlushed(tb, l)
	l.SetHighWatermark(l.End())
}

// newest is the last of each key's records.
func newest(records []keyed) map[string]keyed {
	last := map[string]keyed{}
	for _, r := range records {
		if before, known := last[r.key]; !known || before.offset < r.offset {
			last[r.key] = r
		}
	}
	return last
}

// committedRecords are what a reader of committed records is given of the offsets
// from one up to another, which it reads as clients do. Offsets must rise.
func committedRecords(l *Log, from, to int64) (found []keyed, err error) {
	aborts, err := l.AbortedTransactions(from, to)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(aborts, func(a, b AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	aborted := map[int64]bool{}
	expect := from
	for at := from; at < to; {
		s, err := l.Read(at, 1<<20, to, true)
		if err != nil {
			return nil, err
		}
		if s.Len == 0 {
			return found, nil // nothing is left up to there
		}
		raw := make([]byte, s.Len)
		_, err = s.File.ReadAt(raw, s.Off)
		s.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		for len(raw) > 0 {
			var b record.Batch
			if b, raw, err = record.Next(raw); err != nil {
				return nil, err
			}
			if err := b.Verify(); err != nil {
				return nil, err
			}
			at = b.NextOffset()
			for ; len(aborts) > 0 && aborts[0].FirstOffset <= b.LastOffset(); aborts = aborts[1:] {
				aborted[aborts[0].ProducerID] = true
			}
			records, err := recordsOf(b, from, &expect)
			switch {
			case err != nil:
				return nil, err
			case b.Attributes().Control():
				delete(aborted, b.ProducerID())
			case b.Attributes().Transactional() && aborted[b.ProducerID()]:
			default:
				found = append(found, records...)
			}
		}
	}
	return found, nil
}

func recordsOf(b record.Batch, from int64, expect *int64) (found []keyed, err error) {
	err = b.Each(&record.Scratch{}, unfoldedMost, func(r *record.Record) error {
		offset := b.BaseOffset() + int64(r.OffsetDelta)
		if offset < from {
			return nil
		}
		if offset < *expect {
			return fmt.Errorf("offset %d follows %d", offset, *expect-1)
		}
		*expect = offset + 1
		found = append(found, keyed{offset: offset, timestamp: b.Timestamp(r), key: string(r.Key), value: string(r.Value), tombstone: r.Value == nil})
		return nil
	})
	return found, err
}

// wantCompacted checks that what is in the log is what was written, without what
// later records of the same keys replaced: below until nothing of that is left.
func wantCompacted(l *Log, written []keyed, until int64) error {
	stable := l.LastStable(l.End())
	got, err := committedRecords(l, l.Start(), stable)
	if err != nil {
		return err
	}
	written = before(written, stable)
	byOffset := map[int64]keyed{}
	for _, r := range written {
		if r.tombstone {
			r.value = ""
		}
		byOffset[r.offset] = r
	}
	for _, r := range got {
		if byOffset[r.offset] != r {
			return fmt.Errorf("read %+v, written was %+v", r, byOffset[r.offset])
		}
	}
	want, have := newest(written), newest(got)
	for key, w := range want {
		if h, there := have[key]; (!there || h.offset != w.offset) && (!w.tombstone || there) {
			return fmt.Errorf("the newest of %s is %+v (%v), written was %+v", key, h, there, w)
		}
	}
	for key, h := range have {
		if _, known := want[key]; !known {
			return fmt.Errorf("%s is back: %+v", key, h)
		}
	}
	want = newest(before(written, until))
	for _, r := range before(got, until) {
		if want[r.key].offset != r.offset {
			return fmt.Errorf("%+v should be gone: %+v came later", r, want[r.key])
		}
	}
	return nil
}

func before(records []keyed, offset int64) (some []keyed) {
	for _, r := range records {
		if r.offset < offset {
			some = append(some, r)
		}
	}
	return some
}

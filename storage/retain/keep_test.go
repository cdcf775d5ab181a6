package retain

import (
	"fmt"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/protocol/record"
)

// written is a batch of a log: records as "key=value", a tombstone as "key", and
// one without a key as "~=value".
type written struct {
	base     int64
	producer int64 // 0 for none
	txn      bool
	marker   string // abort or commit
	horizon  int64  // 0 for none
	records  string
	empty    bool // compaction took its records
}

func (w written) batch(t *testing.T) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	b.BaseOffset, b.Transactional = w.base, w.txn || w.marker != ""
	if w.producer > 0 {
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = w.producer, 1, 0
	}
	switch w.marker {
	case "abort":
		b.Control = true
		b.Append(1, record.AppendControlKey(nil, record.ControlAbort), record.AppendEndTxnValue(nil, 1))
	case "commit":
		b.Control = true
		b.Append(1, record.AppendControlKey(nil, record.ControlCommit), record.AppendEndTxnValue(nil, 1))
	}
	for _, r := range strings.Fields(w.records) {
		key, value, alive := strings.Cut(r, "=")
		switch {
		case key == "~":
			b.Append(1, nil, []byte(value))
		case alive:
			b.Append(1, []byte(key), []byte(value))
		default:
			b.Append(1, []byte(key), nil)
		}
	}
	batch, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	var f record.Filter
	if w.horizon > 0 {
		p, err := f.Pick(batch, 1<<20, func(*record.Record) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		out, err := f.Append(nil, p, true, w.horizon)
		if err != nil {
			t.Fatal(err)
		}
		batch = out
	}
	if w.empty {
		batch = record.AppendEmpty(nil, batch)
	}
	return batch
}

// kept is what is decided on a batch: "gone", "empty", or the records that stay,
// and in brackets what else.
func kept(t *testing.T, p *CopyPass, b record.Batch) string {
	t.Helper()
	v, err := p.Batch(b)
	if err != nil {
		t.Fatal(err)
	}
	var stays []string
	if v.Records {
		err := b.Each(&record.Scratch{}, 1<<20, func(r *record.Record) error {
			switch {
			case !p.Record(b, r):
			case b.Attributes().Control():
				stays = append(stays, "marker")
			default:
				stays = append(stays, string(r.Key))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	out := strings.Join(stays, " ")
	switch {
	case len(stays) == 0 && v.Header:
		out = "empty"
	case len(stays) == 0:
		return "gone"
	}
	if v.SetHorizon {
		out += " [horizon]"
	}
	if v.Ended != nil {
		out += fmt.Sprintf(" [aborted since %d]", v.Ended.FirstOffset)
	}
	return out
}

// now is the time of the pass.
const now = 1000

func TestWhatStaysOfABatch(t *testing.T) {
	abort := func(producer, first, last int64) AbortedTxn {
		return AbortedTxn{ProducerID: producer, FirstOffset: first, LastOffset: last, LastStable: last + 1}
	}
	for name, c := range map[string]struct {
		log       []written
		aborted   []AbortedTxn
		from      int64
		taken     int64 // 0: all
		until     int64 // 0: beyond all
		producers map[int64]LastRecord
		want      []string
	}{
		"the newest of each key": {
			log:  []written{{base: 0, records: "a=1 b=1"}, {base: 2, records: "a=2"}, {base: 3, records: "c=1 c=2"}},
			want: []string{"b", "a", "c"},
		},
		"beyond what was taken in all stays": {
			log:   []written{{base: 0, records: "a=1 b=1"}, {base: 2, records: "a=2"}, {base: 3, records: "a=3 a=4"}},
			taken: 3, want: []string{"b", "a", "a a"},
		},
		"what is clean gives way to what is dirty": {
			log:  []written{{base: 0, records: "a=1 b=1"}, {base: 2, records: "b=2"}},
			from: 2, want: []string{"a", "b"},
		},
		"a record without a key goes, an empty key is a key": {
			log: []written{{base: 0, records: "~=1 a=1"}, {base: 2, records: "=1 b=1"}}, want: []string{"a", " b"},
		},
		"a tombstone stays until its horizon": {
			log:  []written{{base: 0, records: "a"}, {base: 1, records: "b", horizon: now + 1}, {base: 2, records: "c", horizon: now}, {base: 3, records: "d=1 e", horizon: now}},
			want: []string{"a", "b", "gone", "d"},
		},
		"a tombstone that a value replaces": {
			log: []written{{base: 0, records: "a"}, {base: 1, records: "a=1"}}, want: []string{"gone", "a"},
		},
		"what was aborted goes and hides nothing": {
			log:     []written{{base: 0, records: "a=1"}, {base: 1, producer: 5, txn: true, records: "a=2 b=2"}, {base: 3, producer: 5, marker: "abort"}},
			aborted: []AbortedTxn{abort(5, 1, 3)},
			want:    []string{"a", "gone", "marker [aborted since 1]"},
		},
		"what was committed counts, and its marker stays": {
			log:  []written{{base: 0, records: "a=1"}, {base: 1, producer: 5, txn: true, records: "a=2"}, {base: 2, producer: 5, marker: "commit"}},
			want: []string{"gone", "a", "marker"},
		},
		"a commit and an abort of one producer": {
			log: []written{
				{base: 0, producer: 5, txn: true, records: "a=1"}, {base: 1, producer: 5, marker: "commit"},
				{base: 2, producer: 5, txn: true, records: "a=2"}, {base: 3, producer: 5, marker: "abort"},
				{base: 4, producer: 5, txn: true, records: "b=1"}, {base: 5, producer: 5, marker: "commit"},
			},
			aborted: []AbortedTxn{abort(5, 2, 3)},
			want:    []string{"a", "marker", "gone", "marker [aborted since 2]", "b", "marker"},
		},
		"a marker whose transaction is gone gets a horizon": {
			log:  []written{{base: 0, producer: 5, marker: "abort"}, {base: 1, producer: 6, marker: "commit"}},
			want: []string{"marker [horizon]", "marker [horizon]"},
		},
		"and goes after it": {
			log:  []written{{base: 0, producer: 5, marker: "abort", horizon: now}, {base: 1, producer: 6, marker: "commit", horizon: now + 1}},
			want: []string{"gone", "marker [horizon]"},
		},
		"not while its transaction is there, whatever the horizon": {
			log:  []written{{base: 0, producer: 5, txn: true, records: "a=1"}, {base: 1, producer: 5, marker: "commit", horizon: now}},
			want: []string{"a", "marker"},
		},
		"the last batch of a producer": {
			log:       []written{{base: 0, producer: 7, records: "a=1 b=1"}, {base: 2, producer: 7, records: "a=1"}, {base: 3, records: "a=2 b=2"}},
			producers: map[int64]LastRecord{7: {Offset: 2}},
			want:      []string{"gone", "empty", "a b"},
		},
		"an empty batch goes with its producer": {
			log:       []written{{base: 0, producer: 7, records: "a=1", empty: true}, {base: 1, producer: 8, records: "a=1", empty: true}},
			producers: map[int64]LastRecord{8: {Offset: 1}},
			want:      []string{"gone", "empty"},
		},
		"an empty batch of a transaction holds its marker": {
			log:       []written{{base: 0, producer: 8, txn: true, records: "a=1", empty: true}, {base: 1, producer: 8, marker: "commit", horizon: now}},
			producers: map[int64]LastRecord{8: {Offset: 0}},
			want:      []string{"empty", "marker"},
		},
		"a marker that is all there is of a producer's epoch": {
			log:       []written{{base: 0, producer: 8, marker: "commit", horizon: now}, {base: 1, producer: 9, marker: "commit", horizon: now}},
			producers: map[int64]LastRecord{8: {Offset: -1, Epoch: 1}, 9: {Offset: -1, Epoch: 2}},
			want:      []string{"empty [horizon]", "gone"},
		},
		"the batch that ends the range": {
			log: []written{{base: 0, records: "a=1"}, {base: 1, records: "a=2"}, {base: 2, records: "a=3"}}, until: 2,
			want: []string{"gone", "empty", "a"},
		},
	} {
		keys := NewOffsetMap(1<<20, 0.9)
		first := NewKeyPass(keys, c.from)
		first.Expect(c.aborted)
		second := &CopyPass{Keys: keys, Until: 1 << 40, Now: now, Producers: c.producers}
		second.Expect(c.aborted)
		for _, w := range c.log {
			b := w.batch(t)
			if c.taken > 0 && b.BaseOffset() >= c.taken {
				break
			}
			if more, err := first.Batch(b, 1<<20); err != nil || !more {
				t.Fatalf("%s: %v, %v", name, more, err)
			}
		}
		if second.Taken = first.Taken(); c.taken > 0 && second.Taken != c.taken {
			t.Errorf("%s: taken %d, want %d", name, second.Taken, c.taken)
		}
		if c.until > 0 {
			second.Until = c.until
		}
		for i, w := range c.log {
			if got := kept(t, second, w.batch(t)); got != c.want[i] {
				t.Errorf("%s: of the batch at %d stays %q, want %q", name, w.base, got, c.want[i])
			}
		}
	}
}

// A batch with more keys than there is room for is taken in as far as it fits.
func TestKeysThatDoNotFit(t *testing.T) {
	var records strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&records, "key-%d=1 ", i)
	}
	b := written{base: 10, records: records.String()}.batch(t)
	p := NewKeyPass(NewOffsetMap(1<<15, 0.9), 10)
	more, err := p.Batch(b, 1<<20)
	if err != nil || more || p.Taken() <= 10 || p.Taken() >= b.LastOffset() {
		t.Errorf("more %v, %v, taken up to %d", more, err, p.Taken())
	}
}

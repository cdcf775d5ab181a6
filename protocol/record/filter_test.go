package record

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/protocol/compress"
)

// What stays of a batch is as it was, at its offsets and times, in a batch of the
// same header.
func TestFilterKeepsWhatItIsTold(t *testing.T) {
	var f Filter
	rapid.Check(t, func(t *rapid.T) {
		builder, _ := drawBuilder(t)
		b, err := builder.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "append time") {
			b.SetLogAppendTime(77)
		}
		before, err := readBack(b)
		if err != nil {
			t.Fatal(err)
		}
		stays := map[int32]bool{}
		p, err := f.Pick(b, testLimit, func(r *Record) bool {
			stays[r.OffsetDelta] = rapid.Bool().Draw(t, "stays")
			return stays[r.OffsetDelta]
		})
		if err != nil {
			t.Fatal(err)
		}
		var want []entry
		var deltas []int32
		for i, e := range before {
			if stays[int32(i)] {
				want, deltas = append(want, e), append(deltas, int32(i))
			}
		}
		if p.Count != len(want) || p.All != (len(want) == len(before)) {
			t.Fatalf("picked %+v of %d, want %d", p, len(before), len(want))
		}
		if p.Count == 0 {
			return
		}
		prefix := []byte("before")
		horizon := rapid.Int64Range(0, 1<<50).Draw(t, "horizon")
		setHorizon := rapid.Bool().Draw(t, "set horizon")
		out, err := f.Append(prefix, p, setHorizon, horizon)
		if err != nil || !bytes.HasPrefix(out, prefix) {
			t.Fatalf("%q, %v", out[:min(len(out), 10)], err)
		}
		checkFiltered(t, Batch(out[len(prefix):]), b, want, deltas, p)
		if ms, ok := Batch(out[len(prefix):]).DeleteHorizon(); setHorizon && (!ok || ms != horizon) {
			t.Fatalf("horizon %d, %v, want %d", ms, ok, horizon)
		}
	})
}

func checkFiltered(t *rapid.T, got, was Batch, want []entry, deltas []int32, p Picked) {
	if err := got.Verify(); err != nil {
		t.Fatal(err)
	}
	after, err := readBack(got)
	if err != nil || fmt.Sprint(after) != fmt.Sprint(want) {
		t.Fatalf("%v: got\n%v\nwant\n%v", err, after, want)
	}
	i := 0
	err = got.Each(new(Scratch), testLimit, func(r *Record) error {
		if r.OffsetDelta != deltas[i] {
			t.Fatalf("record %d has offset %d, want %d", i, r.OffsetDelta, deltas[i])
		}
		i++
		return nil
	})
	newest := want[0].time
	for _, e := range want {
		newest = max(newest, e.time)
	}
	same := got.BaseOffset() == was.BaseOffset() && got.LastOffset() == was.LastOffset() && got.BaseSequence() == was.BaseSequence() &&
		got.ProducerID() == was.ProducerID() && got.ProducerEpoch() == was.ProducerEpoch() && got.PartitionLeaderEpoch() == was.PartitionLeaderEpoch() &&
		got.Attributes()&^attrDeleteHorizon == was.Attributes()&^attrDeleteHorizon
	if err != nil || !same || got.MaxTimestamp() != newest || p.MaxTimestamp != newest {
		t.Fatalf("%v: header\n%x of\n%x, newest %d", err, got[:HeaderSize], was[:HeaderSize], newest)
	}
}

func TestAppendEmptyKeepsTheHeader(t *testing.T) {
	b := NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional, b.BaseOffset, b.LeaderEpoch, b.Codec = 5, 2, 40, true, 1000, 9, compress.LZ4
	for i := range 3 {
		b.Append(50+int64(i), []byte("k"), []byte("v"))
	}
	full, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := Batch(AppendEmpty(nil, full))
	if err := got.Verify(); err != nil || len(got) != HeaderSize || got.Count() != 0 {
		t.Fatalf("%v, %d bytes, %d records", err, len(got), got.Count())
	}
	if got.LastOffset() != 1002 || got.LastSequence() != 42 || got.ProducerID() != 5 || got.ProducerEpoch() != 2 || got.MaxTimestamp() != 52 ||
		got.PartitionLeaderEpoch() != 9 || got.Attributes() != attrTransactional || got.BaseTimestamp() != None {
		t.Errorf("header %x", got)
	}
	if err := got.Each(new(Scratch), 0, func(*Record) error { t.Error("a record"); return nil }); err != nil {
		t.Error(err)
	}
}

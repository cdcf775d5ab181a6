package record

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klamm-io/klamm/protocol/compress"
)

// hundredRecords is a batch as producers send it: a hundred records of a key, a header and 100 bytes of value.
func hundredRecords(tb testing.TB, codec compress.Codec) Batch {
	tb.Helper()
	b := NewBuilder()
	b.Codec = codec
	for i := range 100 {
		value := bytes.Repeat([]byte{byte('a' + i%26)}, 100)
		b.Append(1_700_000_000_000+int64(i), fmt.Appendf(nil, "key-%d", i), value, Header{[]byte("trace"), []byte("0123456789abcdef")})
	}
	batch, err := b.Build(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return batch
}

// hotPath is what a produce does with each batch.
func hotPath(b Batch, s *Scratch) error {
	batch, _, err := Next(b)
	if err != nil {
		return err
	}
	if err := batch.Verify(); err != nil {
		return err
	}
	if _, err := batch.Check(s, testLimit); err != nil {
		return err
	}
	batch.SetBaseOffset(batch.NextOffset())
	batch.SetPartitionLeaderEpoch(batch.PartitionLeaderEpoch() + 1)
	return nil
}

func TestUncompressedBatchesAllocateNothing(t *testing.T) {
	b, s := hundredRecords(t, compress.None), new(Scratch)
	records := 0
	count := func(*Record) error { records++; return nil }
	for name, fn := range map[string]func() error{
		"append": func() error { return hotPath(b, s) },
		"each":   func() error { return b.Each(s, testLimit, count) },
		"time":   func() error { b.SetLogAppendTime(5); return nil },
	} {
		var err error
		if n := testing.AllocsPerRun(100, func() { err = fn() }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", name, n, err)
		}
	}
	if records == 0 {
		t.Error("no record was walked")
	}
}

func BenchmarkAppendPath(b *testing.B) {
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		b.Run(codec.String(), func(b *testing.B) {
			batch, s := hundredRecords(b, codec), new(Scratch)
			b.SetBytes(int64(hundredRecords(b, compress.None).Size()))
			b.ReportAllocs()
			for b.Loop() {
				if err := hotPath(batch, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	batch := hundredRecords(b, compress.None)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		if err := batch.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEach(b *testing.B) {
	batch, s := hundredRecords(b, compress.None), new(Scratch)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		if err := batch.Each(s, testLimit, func(r *Record) error { size += len(r.Value); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

package record

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/protocol/compress"
)

const testLimit = 1 << 20

// entry is a record with its time, as a test hands it in and wants it back.
type entry struct {
	time       int64
	key, value []byte
	headers    []Header
}

func (e entry) equal(o entry) bool {
	return e.time == o.time && sameBytes(e.key, o.key) && sameBytes(e.value, o.value) &&
		slices.EqualFunc(e.headers, o.headers, func(a, b Header) bool {
			return bytes.Equal(a.Key, b.Key) && sameBytes(a.Value, b.Value)
		})
}

// sameBytes tells null from empty.
func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func nullable(size int) *rapid.Generator[[]byte] {
	return rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, size))
}

var entries = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) entry {
	return entry{
		time:  rapid.Int64().Draw(t, "time"),
		key:   nullable(10).Draw(t, "key"),
		value: nullable(100).Draw(t, "value"),
		headers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Header {
			return Header{rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "header"), nullable(5).Draw(t, "header value")}
		}), 0, 3).Draw(t, "headers"),
	}
}), 1, 20)

func drawBuilder(t *rapid.T) (*Builder, []entry) {
	b := &Builder{
		Codec:         rapid.SampledFrom([]compress.Codec{0, 1, 2, 3, 4}).Draw(t, "codec"),
		ProducerID:    rapid.Int64Min(-1).Draw(t, "producer id"),
		ProducerEpoch: rapid.Int16Min(-1).Draw(t, "producer epoch"),
		BaseSequence:  rapid.Int32Min(-1).Draw(t, "base sequence"),
		Transactional: rapid.Bool().Draw(t, "transactional"),
		Control:       rapid.Bool().Draw(t, "control"),
		BaseOffset:    rapid.Int64Range(0, 1<<60).Draw(t, "base offset"),
		LeaderEpoch:   rapid.Int32Min(-1).Draw(t, "leader epoch"),
	}
	want := entries.Draw(t, "records")
	for _, e := range want {
		b.Append(e.time, e.key, e.value, e.headers...)
	}
	return b, want
}

func readBack(b Batch) ([]entry, error) {
	var got []entry
	err := b.Each(new(Scratch), testLimit, func(r *Record) error {
		e := entry{time: b.Timestamp(r), key: bytes.Clone(r.Key), value: bytes.Clone(r.Value)}
		for _, h := range r.Headers {
			e.headers = append(e.headers, Header{bytes.Clone(h.Key), bytes.Clone(h.Value)})
		}
		got = append(got, e)
		return nil
	})
	return got, err
}

func TestWhatIsBuiltReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		builder, want := drawBuilder(t)
		built, err := builder.Build(bytes.Repeat([]byte{0xff}, rapid.IntRange(0, 200).Draw(t, "memory used before")))
		if err != nil {
			t.Fatal(err)
		}
		follows := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "what follows")
		b, rest, err := Next(append(bytes.Clone(built), follows...))
		if err != nil || !bytes.Equal(rest, follows) {
			t.Fatalf("Next: %v, rest %x", err, rest)
		}
		if err := b.Verify(); err != nil {
			t.Fatal(err)
		}
		checkHeader(t, b, builder)
		latest := slices.MaxFunc(want, func(a, b entry) int { return cmp.Compare(a.time, b.time) }).time
		if b.BaseTimestamp() != want[0].time || b.MaxTimestamp() != latest {
			t.Fatalf("from %d, latest %d, records %v", b.BaseTimestamp(), b.MaxTimestamp(), want)
		}
		got, err := readBack(b)
		if err != nil || !slices.EqualFunc(got, want, entry.equal) {
			t.Fatalf("Each: %v\ngot  %v\nwant %v", err, got, want)
		}
		if builder.Codec == compress.None && builder.Len() != len(b) {
			t.Fatalf("Len said %d, the batch has %d", builder.Len(), len(b))
		}
	})
}

func checkHeader(t *rapid.T, b Batch, want *Builder) {
	t.Helper()
	a := b.Attributes()
	for name, ok := range map[string]bool{
		"offsets": b.BaseOffset() == want.BaseOffset && b.LastOffsetDelta() == int32(want.Count()-1) &&
			b.LastOffset() == want.BaseOffset+int64(want.Count())-1 && b.NextOffset() == b.LastOffset()+1,
		"size":         b.Size() == len(b) && b.Magic() == 2 && len(b.Payload()) == len(b)-HeaderSize,
		"leader epoch": b.PartitionLeaderEpoch() == want.LeaderEpoch,
		"producer": b.ProducerID() == want.ProducerID && b.ProducerEpoch() == want.ProducerEpoch &&
			b.BaseSequence() == want.BaseSequence,
		"count": int(b.Count()) == want.Count(),
		"attributes": a.Codec() == want.Codec && a.Transactional() == want.Transactional && a.Control() == want.Control &&
			!a.LogAppendTime() && !a.HasDeleteHorizon(),
	} {
		if !ok {
			t.Fatalf("%s: header %x of %+v", name, b[:HeaderSize], want)
		}
	}
}

func TestNoTruncationPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		builder, _ := drawBuilder(t)
		b, err := builder.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			if _, _, err := Next(b[:n]); !errors.Is(err, ErrShort) {
				t.Fatalf("first %d of %d bytes: %v", n, len(b), err)
			}
		}
	})
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		builder, _ := drawBuilder(t)
		b, err := builder.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := atCRC * 8; i < len(b)*8; i++ {
			b[i/8] ^= 1 << (i % 8)
			if err := b.Verify(); !errors.Is(err, ErrChecksum) {
				t.Fatalf("bit %d of byte %d: %v", i%8, i/8, err)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	})
}

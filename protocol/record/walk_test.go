package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/protocol/compress"
)

// rawBatch is a sealed batch with any payload.
func rawBatch(count, lastDelta int32, payload []byte) Batch {
	b := append(newBatch(nil), payload...)
	b.putInt32(atCount, count)
	b.putInt32(atLastOffsetDelta, lastDelta)
	b.Seal()
	return b
}

// body puts the length before a record's bytes.
func body(b ...byte) []byte { return append(binary.AppendVarint(nil, int64(len(b))), b...) }

// plainRecord is a record with nothing in it but its offset.
func plainRecord(delta int32) []byte {
	r := Record{OffsetDelta: delta}
	return r.append(nil)
}

func TestMalformedRecords(t *testing.T) {
	good := plainRecord(0)
	for name, b := range map[string]Batch{
		"no records":                    rawBatch(0, 0, nil),
		"negative count":                rawBatch(-1, -2, nil),
		"fewer records than counted":    rawBatch(2, 1, good),
		"more records than counted":     rawBatch(1, 0, append(bytes.Clone(good), plainRecord(1)...)),
		"trailing byte":                 rawBatch(1, 0, append(bytes.Clone(good), 0)),
		"offsets beyond the count":      rawBatch(1, 5, good),
		"first delta not 0":             rawBatch(1, 0, plainRecord(1)),
		"negative delta":                rawBatch(1, 0, plainRecord(-1)),
		"delta repeated":                rawBatch(2, 1, append(bytes.Clone(good), good...)),
		"gap":                           rawBatch(2, 1, append(bytes.Clone(good), plainRecord(2)...)),
		"length past the end":           rawBatch(1, 0, good[:len(good)-1]),
		"negative length":               rawBatch(1, 0, []byte{1, 0, 0, 0, 0, 0, 0}),
		"length of six bytes":           rawBatch(1, 0, append([]byte{0x8c, 0x80, 0x80, 0x80, 0x80, 0x00}, good[1:]...)),
		"empty record":                  rawBatch(1, 0, body()),
		"no timestamp":                  rawBatch(1, 0, body(0)),
		"timestamp without end":         rawBatch(1, 0, body(0, 0x80)),
		"timestamp of eleven bytes":     rawBatch(1, 0, body(append([]byte{0}, bytes.Repeat([]byte{0x80}, 11)...)...)),
		"no offset":                     rawBatch(1, 0, body(0, 0)),
		"no key":                        rawBatch(1, 0, body(0, 0, 0)),
		"key past the end":              rawBatch(1, 0, body(0, 0, 0, 4, 'k')),
		"no value":                      rawBatch(1, 0, body(0, 0, 0, 1)),
		"value past the end":            rawBatch(1, 0, body(0, 0, 0, 1, 4, 'v')),
		"value reaches the next record": rawBatch(2, 1, append(body(0, 0, 0, 1, 10), plainRecord(1)...)),
		"no header count":               rawBatch(1, 0, body(0, 0, 0, 1, 1)),
		"negative header count":         rawBatch(1, 0, body(0, 0, 0, 1, 1, 1)),
		"forged header count":           rawBatch(1, 0, body(0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f)),
		"null header key":               rawBatch(1, 0, body(0, 0, 0, 1, 1, 2, 1, 0)),
		"header key past the end":       rawBatch(1, 0, body(0, 0, 0, 1, 1, 2, 8, 'h')),
		"header value past the end":     rawBatch(1, 0, body(0, 0, 0, 1, 1, 2, 0, 8)),
		"bytes after the headers":       rawBatch(1, 0, body(0, 0, 0, 1, 1, 0, 9)),
	} {
		if err := b.Verify(); err != nil {
			t.Errorf("%s: the test's batch itself: %v", name, err)
		}
		if sum, err := b.Check(new(Scratch), testLimit); !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%s: Check = %+v, %v", name, sum, err)
		}
	}
	if _, err := rawBatch(1, 0, good).Check(new(Scratch), testLimit); err != nil {
		t.Errorf("good record: %v", err)
	}
}

func TestCompactedBatchesCanBeWalked(t *testing.T) {
	gaps := rawBatch(2, 9, append(plainRecord(3), plainRecord(7)...))
	var deltas []int32
	err := gaps.Each(new(Scratch), testLimit, func(r *Record) error {
		deltas = append(deltas, r.OffsetDelta)
		return nil
	})
	if err != nil || len(deltas) != 2 || deltas[0] != 3 || deltas[1] != 7 {
		t.Errorf("gaps: %v, %v", deltas, err)
	}
	empty := rawBatch(0, 9, nil)
	empty.putInt16(atAttributes, int16(compress.Zstd))
	if err := empty.Each(new(Scratch), testLimit, nil); err != nil {
		t.Errorf("empty: %v", err)
	}
}

func TestEachEndsWithTheCallersError(t *testing.T) {
	calls := 0
	err := buildGolden(t, compress.Gzip, 0).Each(new(Scratch), testLimit, func(*Record) error {
		calls++
		return io.ErrClosedPipe
	})
	if err != io.ErrClosedPipe || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestPayloadThatDoesNotUnpack(t *testing.T) {
	b := buildGolden(t, compress.Zstd, 0)
	if _, err := b.Check(new(Scratch), 1000); !errors.Is(err, compress.ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	for codec, want := range map[Attributes]error{4: nil, 2: compress.ErrCorrupt, 5: compress.ErrCodec, 7: compress.ErrCodec} {
		b.putInt16(atAttributes, int16(codec))
		if _, err := b.Check(new(Scratch), testLimit); !errors.Is(err, want) {
			t.Errorf("zstd read as codec %d: %v", codec, err)
		}
	}
}

// TestNoDamageOfTheRecordsPanics damages records and checks that walking either fails or stays within its bounds.
func TestNoDamageOfTheRecordsPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		builder, _ := drawBuilder(t)
		b, err := builder.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(atAttributes, len(b)-1).Draw(t, "at")
		b[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "damage"))
		walkWithinBounds(t, b)
	})
}

// walkWithinBounds walks b, whatever it is, and wants the records that come to be within what their batch can hold.
func walkWithinBounds(tb interface{ Fatalf(string, ...any) }, b Batch) {
	records, bytes := 0, 0
	err := b.Each(new(Scratch), testLimit, func(r *Record) error {
		records++
		bytes += len(r.Key) + len(r.Value)
		for _, h := range r.Headers {
			bytes += len(h.Key) + len(h.Value)
		}
		if r.OffsetDelta < 0 || r.OffsetDelta > b.LastOffsetDelta() {
			tb.Fatalf("offset delta %d of at most %d", r.OffsetDelta, b.LastOffsetDelta())
		}
		return nil
	})
	if err == nil && records != int(b.Count()) || bytes > testLimit+len(b) {
		tb.Fatalf("%d records of %d, %d bytes, %v", records, b.Count(), bytes, err)
	}
}

func TestRecompressKeepsTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		builder, want := drawBuilder(t)
		b, err := builder.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		codec := rapid.SampledFrom([]compress.Codec{0, 1, 2, 3, 4}).Draw(t, "to")
		packed, err := b.Recompress(new(Scratch), []byte("used before"), codec, 0, testLimit)
		if err != nil {
			t.Fatal(err)
		}
		builder.Codec = codec
		if other, err := builder.Build(nil); err != nil || !bytes.Equal(packed, other) {
			t.Fatalf("%v: recompressed %x\nbuilt so       %x", err, packed, other)
		}
		if got, err := readBack(packed); err != nil || len(got) != len(want) {
			t.Fatalf("%d records of %d: %v", len(got), len(want), err)
		}
	})
}

func TestNextNamesWhatIsWrong(t *testing.T) {
	good := buildGolden(t, compress.None, 0)
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	length := func(v uint32) []byte {
		return binary.BigEndian.AppendUint32(bytes.Clone(good[:atLength]), v)
	}
	for name, c := range map[string]struct {
		in   []byte
		want error
		text string
	}{
		"nothing":         {nil, ErrShort, "17 bytes"},
		"zeros":           {make([]byte, 100), ErrLength, "says 0"},
		"magic 0":         {with(atMagic, 0), ErrMagic, "magic 0 is no longer supported"},
		"magic 1":         {with(atMagic, 1), ErrMagic, "magic 1 is no longer supported"},
		"magic 3":         {with(atMagic, 3), ErrMagic, "unknown magic 3"},
		"length too long": {with(atLength, 0x7f), ErrShort, "are there"},
		"length negative": {with(atLength, 0x80), ErrLength, "says -"},
		"length 48":       {append(length(48), good[12:]...), ErrLength, "says 48"},
		"small magic 1":   {append(length(14), 0, 0, 0, 0, 1), ErrMagic, "magic 1"},
	} {
		b, rest, err := Next(c.in)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || b != nil || !bytes.Equal(rest, c.in) {
			t.Errorf("%s: %v, batch of %d, rest of %d bytes", name, err, len(b), len(rest))
		}
	}
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	good := buildGolden(t, compress.None, 0)
	magic := bytes.Clone(good)
	magic[atMagic] = 1
	for name, c := range map[string]struct {
		in   Batch
		want error
	}{
		"good":        {good, nil},
		"short":       {good[:HeaderSize-1], ErrShort},
		"cut":         {good[:len(good)-1], ErrLength},
		"bytes after": {append(bytes.Clone(good), 0), ErrLength},
		"magic":       {magic, ErrMagic},
	} {
		if err := c.in.Verify(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package record

import (
	"bytes"
	"testing"
)

// FuzzBatch wants any bytes to be split, verified and walked without harm, and a batch that Check passes to be rebuilt the same.
// The CRC is made to match, since no chance would find it.
func FuzzBatch(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		b, rest, err := Next(in)
		if err != nil {
			if b != nil || !bytes.Equal(rest, in) {
				t.Fatalf("%v, yet a batch of %d and a rest of %d bytes", err, len(b), len(rest))
			}
			return
		}
		if len(b)+len(rest) != len(in) || len(b) != b.Size() {
			t.Fatalf("%d bytes split into %d and %d", len(in), len(b), len(rest))
		}
		b = bytes.Clone(b)
		b.Seal()
		if err := b.Verify(); err != nil {
			t.Fatal(err)
		}
		walkWithinBounds(t, b)
		checkRebuilds(t, b)
	})
}

// checkRebuilds wants the records of a batch that Check passes to read back the same after Builder had them.
func checkRebuilds(t *testing.T, b Batch) {
	sum, err := b.Check(new(Scratch), testLimit)
	if err != nil {
		return
	}
	want, err := readBack(b)
	if err != nil || len(want) != sum.Count {
		t.Fatalf("Check passed %+v, Each says %v of %d records", sum, err, len(want))
	}
	builder := NewBuilder()
	for _, e := range want {
		builder.Append(e.time, e.key, e.value, e.headers...)
	}
	again, err := builder.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Check(new(Scratch), testLimit); err != nil || got != sum {
		t.Fatalf("rebuilt: %+v, %v, before %+v", got, err, sum)
	}
}

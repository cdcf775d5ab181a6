package record

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/klamm-io/klamm/protocol/compress"
)

func TestOffsetAndEpochAreOutsideTheChecksum(t *testing.T) {
	b := buildGolden(t, compress.LZ4, 0)
	b.SetBaseOffset(1 << 40)
	b.SetPartitionLeaderEpoch(17)
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
	if b.BaseOffset() != 1<<40 || b.LastOffset() != 1<<40+3 || b.NextOffset() != 1<<40+4 || b.PartitionLeaderEpoch() != 17 {
		t.Errorf("header %x", b[:HeaderSize])
	}
}

func TestLogAppendTimeIsEveryRecordsTime(t *testing.T) {
	b := buildGolden(t, compress.Snappy, 0)
	base := b.BaseTimestamp()
	b.SetLogAppendTime(42)
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
	if !b.Attributes().LogAppendTime() || b.Attributes().Codec() != compress.Snappy || b.BaseTimestamp() != base {
		t.Errorf("header %x", b[:HeaderSize])
	}
	sum, err := b.Check(new(Scratch), testLimit)
	if err != nil || sum.MinTimestamp != 42 || sum.MaxTimestamp != 42 || sum.OffsetDeltaOfMaxTimestamp != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestMaxTimestampIsSealed(t *testing.T) {
	b := buildGolden(t, compress.None, 0)
	b.SetCreateTime(77)
	if err := b.Verify(); err != nil || b.MaxTimestamp() != 77 || b.Attributes().LogAppendTime() {
		t.Errorf("%v, header %x", err, b[:HeaderSize])
	}
}

func TestDeleteHorizon(t *testing.T) {
	b := buildGolden(t, compress.None, 0)
	if _, ok := b.DeleteHorizon(); ok {
		t.Error("set from the start")
	}
	b.putInt16(atAttributes, int16(attrDeleteHorizon))
	if ms, ok := b.DeleteHorizon(); !ok || ms != b.BaseTimestamp() || !b.Attributes().HasDeleteHorizon() {
		t.Errorf("%d, %v", ms, ok)
	}
}

func TestSequencesWrap(t *testing.T) {
	for _, c := range []struct{ base, delta, want int32 }{
		{0, 0, 0}, {5, 3, 8}, {None, 3, None}, {math.MaxInt32 - 1, 1, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 4, 2},
	} {
		b := rawBatch(1, c.delta, nil)
		b.putInt32(atBaseSequence, c.base)
		if got := b.LastSequence(); got != c.want {
			t.Errorf("%d and %d more: %d, want %d", c.base, c.delta, got, c.want)
		}
	}
}

func TestControlType(t *testing.T) {
	for _, c := range []struct {
		key           []byte
		version, kind int16
		ok            bool
	}{
		{nil, 0, 0, false}, {[]byte{0, 0, 0}, 0, 0, false}, {[]byte{0, 0, 0, 1}, 0, ControlCommit, true},
		{[]byte{0, 3, 0, 0, 9}, 3, ControlAbort, true}, {[]byte{0xff, 0xff, 0, 1}, -1, 1, false},
	} {
		if version, kind, ok := ControlType(c.key); version != c.version || kind != c.kind || ok != c.ok {
			t.Errorf("%x: version %d, kind %d, %v", c.key, version, kind, ok)
		}
	}
	if _, ok := EndTxnEpoch([]byte{0, 0, 0, 0, 1}); ok {
		t.Error("five bytes passed for the value of a marker")
	}
}

func TestBuilderNeedsRecordsAndAKnownCodec(t *testing.T) {
	b := NewBuilder()
	if _, err := b.Build(nil); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty: %v", err)
	}
	b.Append(1, nil, nil)
	b.Codec = 6
	if _, err := b.Build(nil); !errors.Is(err, compress.ErrCodec) {
		t.Errorf("codec 6: %v", err)
	}
	b.Codec = compress.None
	first, err := b.Build(make([]byte, 3, 500))
	if err != nil || first.Verify() != nil {
		t.Errorf("%v, %v", err, first.Verify())
	}
	b.Reset()
	b.Append(1, nil, nil)
	if again, err := b.Build(nil); err != nil || !bytes.Equal(again, first) {
		t.Errorf("%v, after Reset %x, before %x", err, again, first)
	}
}

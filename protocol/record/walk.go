package record

import (
	"errors"
	"fmt"

	"github.com/klamm-io/klamm/protocol/compress"
)

// ErrInvalidRecord says that a batch, whole as bytes, holds records that are not well formed.
var ErrInvalidRecord = errors.New("invalid record")

// Record is one record. Its slices alias the batch or the Scratch; nil stands for null.
type Record struct {
	Attributes     int8
	TimestampDelta int64 // milliseconds after the batch's base timestamp; Batch.Timestamp gives the time itself
	OffsetDelta    int32 // after the batch's base offset
	Key, Value     []byte
	Headers        []Header
}

// Header is one header of a record. The key is text in UTF-8 and never null; the value may be nil.
type Header struct {
	Key   []byte
	Value []byte
}

// Scratch is memory that walking batches uses again and again. The zero value is ready. It may be kept for ever by whoever walks
// many batches; it holds as much as the largest batch needed.
type Scratch struct {
	plain  []byte // decompressed records
	record Record // its Headers are kept too
}

// NewScratch returns memory with room for n bytes: batches that unfold to less leave nothing behind that grew on the way.
func NewScratch(n int) *Scratch { return &Scratch{plain: make([]byte, 0, n)} }

// unpack gives the records of b uncompressed, at most limit bytes.
func (s *Scratch) unpack(b Batch, limit int) ([]byte, error) {
	codec := b.Attributes().Codec()
	if codec == compress.None || b.Count() == 0 && len(b) == HeaderSize {
		return b.Payload(), nil
	}
	var err error
	s.plain, err = compress.Decompress(s.plain[:0], codec, b.Payload(), limit)
	if err != nil {
		return nil, fmt.Errorf("unpack batch at offset %d: %w", b.BaseOffset(), err)
	}
	return s.plain, nil
}

// Each calls fn for every record in order, and ends with fn's error if it has one. The Record and what it points to are good
// until fn returns. Compressed batches are unpacked into s first, to at most limit bytes (compress.ErrTooLarge); the limit does
// not apply to uncompressed ones.
//
// It fails with ErrInvalidRecord when the records are malformed, are not as many as the header counts, do not fill the payload,
// or when their offsets do not rise within the batch's. Offsets may have gaps, as compaction leaves them. Records before a
// malformed one have been handed to fn by then: use Check first where that matters.
func (b Batch) Each(s *Scratch, limit int, fn func(*Record) error) error {
	plain, err := s.unpack(b, limit)
	if err != nil {
		return err
	}
	return b.walk(plain, &s.record, func(r *Record, _ int) error { return fn(r) })
}

// walk calls fn for every record in the unpacked records of b, with the position at which it ends. Each says when it fails.
func (b Batch) walk(plain []byte, r *Record, fn func(r *Record, end int) error) error {
	in := reader{rest: plain}
	previous := int32(-1)
	for i := range b.Count() {
		if why := in.record(r); why != "" {
			return b.invalid(i, why)
		}
		if r.OffsetDelta <= previous || r.OffsetDelta > b.LastOffsetDelta() {
			return b.invalid(i, "offset is out of order or outside the batch")
		}
		previous = r.OffsetDelta
		if err := fn(r, len(plain)-len(in.rest)); err != nil {
			return err
		}
	}
	if len(in.rest) > 0 || b.Count() < 0 {
		return b.invalid(b.Count(), "the header counts other than the payload holds")
	}
	return nil
}

func (b Batch) invalid(index int32, why string) error {
	return fmt.Errorf("%w: record %d of the batch at offset %d: %s", ErrInvalidRecord, index, b.BaseOffset(), why)
}

// Summary tells of the records of a batch what an append needs to know.
type Summary struct {
	Count                     int
	MinTimestamp              int64 // milliseconds
	MaxTimestamp              int64 // milliseconds
	OffsetDeltaOfMaxTimestamp int32 // of the first record that has it
	FirstWithoutKey           int   // index of the first record with a null key, -1 if all have one
}

// Check proves a batch fresh from a producer: all that Each checks, and that there is at least one record and the offsets run
// 0, 1, 2 … to the last without gaps. It does not look at the CRC.
func (b Batch) Check(s *Scratch, limit int) (Summary, error) {
	sum := Summary{Count: int(b.Count()), FirstWithoutKey: -1}
	if b.Count() <= 0 || b.LastOffsetDelta() != b.Count()-1 {
		return sum, fmt.Errorf("%w: the batch counts %d records for %d offsets", ErrInvalidRecord, b.Count(), int64(b.LastOffsetDelta())+1)
	}
	plain, err := s.unpack(b, limit)
	if err != nil {
		return sum, err
	}
	if quick, ok := b.summarize(plain); ok {
		return quick, nil
	}
	// Count deltas that rise strictly within [0, Count) leave no gap, so the walk proves the offsets.
	first := true
	err = b.walk(plain, &s.record, func(r *Record, _ int) error {
		sum.add(r, b.Timestamp(r), first)
		first = false
		return nil
	})
	return sum, err
}

func (sum *Summary) add(r *Record, timestamp int64, first bool) {
	if first || timestamp < sum.MinTimestamp {
		sum.MinTimestamp = timestamp
	}
	if first || timestamp > sum.MaxTimestamp {
		sum.MaxTimestamp, sum.OffsetDeltaOfMaxTimestamp = timestamp, r.OffsetDelta
	}
	if r.Key == nil && sum.FirstWithoutKey < 0 {
		sum.FirstWithoutKey = int(r.OffsetDelta)
	}
}

package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/klamm-io/klamm/protocol/compress"
)

// ErrEmpty says that a batch was to be built of no records.
var ErrEmpty = errors.New("a record batch needs at least one record")

// Builder collects records and makes a batch of them. Set the fields before Build; NewBuilder gives them their usual values.
type Builder struct {
	Codec         compress.Codec
	Level         int // of the codec, 0 for its default
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	BaseOffset    int64
	LeaderEpoch   int32

	payload      []byte // records, uncompressed
	count        int32
	baseTime     int64
	maxTimestamp int64
}

// NewBuilder is a builder for a plain batch: no producer, no leader epoch, no compression, offset 0.
func NewBuilder() *Builder {
	return &Builder{ProducerID: None, ProducerEpoch: None, BaseSequence: None, LeaderEpoch: None}
}

// Append adds a record with its timestamp in milliseconds since 1970. A nil key or value is null; a header's key never is.
// All is copied.
func (b *Builder) Append(timestamp int64, key, value []byte, headers ...Header) {
	if b.count == 0 {
		b.baseTime, b.maxTimestamp = timestamp, timestamp
	}
	b.maxTimestamp = max(b.maxTimestamp, timestamp)
	r := Record{TimestampDelta: timestamp - b.baseTime, OffsetDelta: b.count, Key: key, Value: value, Headers: headers}
	b.payload = r.append(b.payload)
	b.count++
}

// Count is how many records were appended.
func (b *Builder) Count() int { return int(b.count) }

// Len is the size in bytes that the batch has uncompressed.
func (b *Builder) Len() int { return HeaderSize + len(b.payload) }

// Reset takes all records away, and keeps memory and fields.
func (b *Builder) Reset() { b.payload, b.count = b.payload[:0], 0 }

// Build makes the batch, in dst's memory from its start if that is enough. The builder keeps its records, and can build again.
// It fails without records, and when the batch would be larger than its length field can say.
func (b *Builder) Build(dst []byte) (Batch, error) {
	if b.count == 0 {
		return nil, ErrEmpty
	}
	batch := newBatch(dst)
	batch.SetBaseOffset(b.BaseOffset)
	batch.SetPartitionLeaderEpoch(b.LeaderEpoch)
	batch.putInt16(atAttributes, int16(b.attributes()))
	batch.putInt32(atLastOffsetDelta, b.count-1)
	batch.putInt64(atBaseTimestamp, b.baseTime)
	batch.putInt64(atMaxTimestamp, b.maxTimestamp)
	batch.putInt64(atProducerID, b.ProducerID)
	batch.putInt16(atProducerEpoch, b.ProducerEpoch)
	batch.putInt32(atBaseSequence, b.BaseSequence)
	batch.putInt32(atCount, b.count)
	return batch.fill(b.Codec, b.Level, b.payload)
}

func (b *Builder) attributes() Attributes {
	a := Attributes(b.Codec) & attrCodec
	if b.Transactional {
		a |= attrTransactional
	}
	if b.Control {
		a |= attrControl
	}
	return a
}

// newBatch is a header in dst's memory, with nothing but the magic filled in.
func newBatch(dst []byte) Batch {
	batch := Batch(slices.Grow(dst[:0], HeaderSize)[:HeaderSize])
	batch[atMagic] = magic2
	return batch
}

// fill appends the packed records to a header and seals the whole.
func (b Batch) fill(codec compress.Codec, level int, plain []byte) (Batch, error) {
	return fillAt(b, 0, codec, level, plain)
}

// fillAt is fill for a header that ends dst and begins at at. It returns the whole of dst.
func fillAt(dst []byte, at int, codec compress.Codec, level int, plain []byte) ([]byte, error) {
	full, err := compress.Compress(dst, codec, level, plain)
	if err != nil {
		return nil, fmt.Errorf("pack batch at offset %d: %w", Batch(dst[at:]).BaseOffset(), err)
	}
	batch := Batch(full[at:])
	if len(batch) > math.MaxInt32 {
		return nil, fmt.Errorf("pack batch at offset %d: %w: %d bytes", batch.BaseOffset(), ErrLength, len(batch))
	}
	batch.Seal()
	return full, nil
}

// Recompress makes a batch of the same header and records in another codec, in dst's memory from its start if that is enough; dst
// must not share memory with b. A batch that was compressed is unpacked into s, to at most limit bytes. The records are not looked
// at; level 0 is the codec's default.
func (b Batch) Recompress(s *Scratch, dst []byte, codec compress.Codec, level, limit int) (Batch, error) {
	plain, err := s.unpack(b, limit)
	if err != nil {
		return nil, err
	}
	batch := Batch(append(dst[:0], b[:HeaderSize]...))
	batch.putInt16(atAttributes, int16(b.Attributes()&^attrCodec|Attributes(codec)&attrCodec))
	return batch.fill(codec, level, plain)
}

// append encodes r at the end of dst.
func (r *Record) append(dst []byte) []byte {
	dst = binary.AppendVarint(dst, int64(r.size()))
	dst = append(dst, byte(r.Attributes))
	dst = binary.AppendVarint(dst, r.TimestampDelta)
	dst = binary.AppendVarint(dst, int64(r.OffsetDelta))
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendVarint(dst, int64(len(r.Headers)))
	for _, h := range r.Headers {
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

// size is how many bytes follow the length of the encoded record.
func (r *Record) size() int {
	n := 1 + varintSize(r.TimestampDelta) + varintSize(int64(r.OffsetDelta)) + bytesSize(r.Key) + bytesSize(r.Value)
	n += varintSize(int64(len(r.Headers)))
	for _, h := range r.Headers {
		n += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	return n
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func varintSize(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

// Package record reads and writes record batches of format version 2, the only one that Kafka 4 keeps.
//
// A Batch is the bytes themselves, as they lie on disk and go over the wire: accessors read in place, setters write in place.
// Accessors may be called on what Next returned or Build made, and panic on a shorter slice. Nothing here keeps a slice beyond a
// call, starts a goroutine or takes a lock; a Batch, a Scratch and a Builder each belong to one goroutine at a time.
//
// Splitting, verifying and walking an uncompressed batch allocates nothing.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klamm-io/klamm/protocol/compress"
)

// HeaderSize is the size in bytes of a batch without records.
const HeaderSize = 61

// Where the fields of the header begin. The length counts the bytes after itself; the CRC covers all bytes after itself, so that
// the broker can write offset and leader epoch without touching it.
const (
	atBaseOffset      = 0
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57

	// lengthEnd is what the length field does not count.
	lengthEnd = atLength + 4
	// oldestSize is what the length of the smallest message of magic 0 says.
	oldestSize = 14
	magic2     = 2
)

// None stands in ProducerID, ProducerEpoch, BaseSequence and PartitionLeaderEpoch for "there is none".
const None = -1

var (
	// ErrShort says that the bytes end before the batch does: more may still come, or the end was torn off.
	ErrShort = errors.New("record batch is cut short")
	// ErrMagic says that the format is not version 2. Messages of magic 0 and 1 are no longer supported.
	ErrMagic = errors.New("unsupported record batch format")
	// ErrLength says that the length field holds what no batch can have.
	ErrLength = errors.New("invalid record batch length")
	// ErrChecksum says that the CRC does not match the bytes it covers.
	ErrChecksum = errors.New("record batch checksum does not match")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is one whole record batch, header and records.
type Batch []byte

// Next splits one batch off the front of b by its length field, and returns it with what follows; both alias b. Only length and
// magic are looked at: call Verify for the rest. It fails with ErrShort, ErrMagic or ErrLength.
func Next(b []byte) (Batch, []byte, error) {
	if len(b) <= atMagic {
		return nil, b, shortError(atMagic+1, len(b))
	}
	length := int64(int32(binary.BigEndian.Uint32(b[atLength:])))
	if length < oldestSize {
		return nil, b, lengthError(length)
	}
	if b[atMagic] != magic2 {
		return nil, b, magicError(int8(b[atMagic]))
	}
	if length < HeaderSize-lengthEnd {
		return nil, b, lengthError(length)
	}
	size := length + lengthEnd
	if size > int64(len(b)) {
		return nil, b, shortError(size, len(b))
	}
	return Batch(b[:size:size]), b[size:], nil
}

func shortError(want int64, have int) error {
	return fmt.Errorf("%w: needs %d bytes, %d are there", ErrShort, want, have)
}

func lengthError(length int64) error {
	return fmt.Errorf("%w: length field says %d, a batch has at least %d", ErrLength, length, HeaderSize-lengthEnd)
}

func magicError(magic int8) error {
	if magic == 0 || magic == 1 {
		return fmt.Errorf("%w: magic %d is no longer supported, write version 2 (Kafka 0.11 and later)", ErrMagic, magic)
	}
	return fmt.Errorf("%w: unknown magic %d, only version 2 is known", ErrMagic, magic)
}

// Verify checks that the batch is as long as it says, is of version 2, and that its CRC matches. It does not look at the records.
func (b Batch) Verify() error {
	if len(b) < HeaderSize {
		return shortError(HeaderSize, len(b))
	}
	if b.Size() != len(b) {
		return fmt.Errorf("%w: length field means %d bytes, the batch has %d", ErrLength, b.Size(), len(b))
	}
	if b.Magic() != magic2 {
		return magicError(b.Magic())
	}
	if sum := b.checksum(); sum != b.CRC() {
		return fmt.Errorf("%w: at base offset %d it says %08x, the bytes give %08x", ErrChecksum, b.BaseOffset(), b.CRC(), sum)
	}
	return nil
}

func (b Batch) checksum() uint32 { return crc32.Checksum(b[atAttributes:], castagnoli) }

// BaseOffset is the offset of the first record, or where it was before compaction took it away.
func (b Batch) BaseOffset() int64 { return b.int64(atBaseOffset) }

// LastOffset is the offset of the last record. Compaction leaves it as it was.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the offset after the last one.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// Size is what the length field makes of the whole batch, in bytes. After Next it is len(b).
func (b Batch) Size() int { return int(b.int32(atLength)) + lengthEnd }

// PartitionLeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) PartitionLeaderEpoch() int32 { return b.int32(atLeaderEpoch) }

// Magic is the version of the format.
func (b Batch) Magic() int8 { return int8(b[atMagic]) }

// CRC is the CRC-32C that the batch carries.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[atCRC:]) }

// Attributes gives codec, kind of timestamp and the marks of the batch.
func (b Batch) Attributes() Attributes { return Attributes(b.int16(atAttributes)) }

// LastOffsetDelta is LastOffset less BaseOffset.
func (b Batch) LastOffsetDelta() int32 { return b.int32(atLastOffsetDelta) }

// BaseTimestamp is what the records' timestamps are relative to, in milliseconds since 1970.
func (b Batch) BaseTimestamp() int64 { return b.int64(atBaseTimestamp) }

// MaxTimestamp is the latest timestamp of all records, or the time of the append when the attributes say so, in milliseconds.
func (b Batch) MaxTimestamp() int64 { return b.int64(atMaxTimestamp) }

// ProducerID is the id of the idempotent or transactional producer, or None.
func (b Batch) ProducerID() int64 { return b.int64(atProducerID) }

// ProducerEpoch is the epoch of the producer, or None.
func (b Batch) ProducerEpoch() int16 { return b.int16(atProducerEpoch) }

// BaseSequence is the producer's sequence number of the first record, or None.
func (b Batch) BaseSequence() int32 { return b.int32(atBaseSequence) }

// LastSequence is the sequence number of the last record, or None.
func (b Batch) LastSequence() int32 {
	if b.BaseSequence() == None {
		return None
	}
	return AddSequence(b.BaseSequence(), b.LastOffsetDelta())
}

// Count is how many records the batch holds; after compaction that may be fewer than its offsets, even none.
func (b Batch) Count() int32 { return b.int32(atCount) }

// Payload is the records, compressed as the attributes say. It aliases the batch.
func (b Batch) Payload() []byte { return b[HeaderSize:] }

// DeleteHorizon is the time in milliseconds from which compaction may drop the tombstones and markers of this batch, if it is set.
func (b Batch) DeleteHorizon() (ms int64, ok bool) {
	return b.BaseTimestamp(), b.Attributes().HasDeleteHorizon()
}

// Timestamp is the time of a record of this batch, in milliseconds since 1970.
func (b Batch) Timestamp(r *Record) int64 {
	if b.Attributes().LogAppendTime() {
		return b.MaxTimestamp()
	}
	return b.BaseTimestamp() + r.TimestampDelta
}

// SetBaseOffset moves the batch to other offsets. The CRC does not cover it.
func (b Batch) SetBaseOffset(offset int64) { b.putInt64(atBaseOffset, offset) }

// SetPartitionLeaderEpoch writes the epoch of the leader that appends the batch. The CRC does not cover it.
func (b Batch) SetPartitionLeaderEpoch(epoch int32) { b.putInt32(atLeaderEpoch, epoch) }

// SetLogAppendTime gives every record the time of the append, in milliseconds since 1970, and writes the CRC anew.
func (b Batch) SetLogAppendTime(ms int64) {
	b.putInt16(atAttributes, int16(b.Attributes()|attrLogAppendTime))
	b.putInt64(atMaxTimestamp, ms)
	b.Seal()
}

// SetCreateTime leaves every record its producer's time, the latest of which is ms, and writes the CRC anew.
func (b Batch) SetCreateTime(ms int64) {
	b.putInt16(atAttributes, int16(b.Attributes()&^attrLogAppendTime))
	b.putInt64(atMaxTimestamp, ms)
	b.Seal()
}

// Seal writes length and CRC so that they fit the bytes.
func (b Batch) Seal() {
	b.putInt32(atLength, int32(len(b)-lengthEnd))
	binary.BigEndian.PutUint32(b[atCRC:], b.checksum())
}

func (b Batch) int16(at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }
func (b Batch) int32(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
func (b Batch) int64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }

func (b Batch) putInt16(at int, v int16) { binary.BigEndian.PutUint16(b[at:], uint16(v)) }
func (b Batch) putInt32(at int, v int32) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
func (b Batch) putInt64(at int, v int64) { binary.BigEndian.PutUint64(b[at:], uint64(v)) }

// Attributes are the flags of a batch.
type Attributes int16

const (
	attrCodec         Attributes = 0x07
	attrLogAppendTime Attributes = 0x08
	attrTransactional Attributes = 0x10
	attrControl       Attributes = 0x20
	attrDeleteHorizon Attributes = 0x40
)

// Codec is the compression of the records. It may be unknown: see compress.Codec.Known.
func (a Attributes) Codec() compress.Codec { return compress.Codec(a & attrCodec) }

// LogAppendTime says that all records carry the time of the append, which stands in MaxTimestamp, and not the producer's.
func (a Attributes) LogAppendTime() bool { return a&attrLogAppendTime != 0 }

// Transactional says that the batch belongs to a transaction.
func (a Attributes) Transactional() bool { return a&attrTransactional != 0 }

// Control says that the batch holds a record for the broker and the clients' own use: see ControlType.
func (a Attributes) Control() bool { return a&attrControl != 0 }

// HasDeleteHorizon says that BaseTimestamp is the time from which tombstones of this batch may go (KIP-534).
func (a Attributes) HasDeleteHorizon() bool { return a&attrDeleteHorizon != 0 }

// AddSequence counts n, which is not negative, on from a producer's sequence number; after the greatest int32 comes 0.
func AddSequence(sequence, n int32) int32 { return int32((uint32(sequence) + uint32(n)) & 0x7fffffff) }

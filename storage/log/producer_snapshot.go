package log

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

// A snapshot is Kafka's: a version, the CRC-32C of what follows, the number of
// entries, and an entry for each producer (docs/formats/log-files.md).
const (
	snapshotVersion    = 1
	snapshotHeaderSize = 2 + 4 + 4
	snapshotEntrySize  = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns the state as a snapshot file holds it. Kafka writes one entry
// for each producer, for its last batch; a reader lets a later entry replace an
// earlier one. So the batches before the last stand in entries before its own:
// Kafka reads the file as one of its own, and a batch that is sent again after a
// restart is recognised here, be it the last or not.
func (p *producers) encode() []byte {
	out := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(p.byID)*snapshotEntrySize)
	for _, id := range slices.Sorted(maps.Keys(p.byID)) {
		out = p.byID[id].encode(out, id)
	}
	binary.BigEndian.PutUint16(out, snapshotVersion)
	binary.BigEndian.PutUint32(out[6:], uint32((len(out)-snapshotHeaderSize)/snapshotEntrySize))
	binary.BigEndian.PutUint32(out[2:], crc32.Checksum(out[6:], castagnoli))
	return out
}

func (k *producer) encode(out []byte, id int64) []byte {
	last := batchMeta{LastSequence: -1, LastOffset: -1, OffsetDelta: 0}
	if n := len(k.batches); n > 0 {
		for _, m := range k.batches[:n-1] {
			out = k.encodeEntry(out, id, m, m.Timestamp, -1)
		}
		last = k.batches[n-1]
	}
	return k.encodeEntry(out, id, last, k.timestamp, k.txnFirstOffset)
}

func (k *producer) encodeEntry(out []byte, id int64, m batchMeta, timestamp, txnFirstOffset int64) []byte {
	out = binary.BigEndian.AppendUint64(out, uint64(id))
	out = binary.BigEndian.AppendUint16(out, uint16(k.epoch))
	out = binary.BigEndian.AppendUint32(out, uint32(m.LastSequence))
	out = binary.BigEndian.AppendUint64(out, uint64(m.LastOffset))
	out = binary.BigEndian.AppendUint32(out, uint32(m.OffsetDelta))
	out = binary.BigEndian.AppendUint64(out, uint64(timestamp))
	out = binary.BigEndian.AppendUint32(out, uint32(k.coordinatorEpoch))
	return binary.BigEndian.AppendUint64(out, uint64(txnFirstOffset))
}

var errSnapshot = errors.New("not a sound producers' snapshot")

// decodeProducers reads a snapshot. Its producers count as active at now,
// milliseconds.
func decodeProducers(raw []byte, now int64) (*producers, error) {
	if len(raw) < snapshotHeaderSize || binary.BigEndian.Uint16(raw) != snapshotVersion {
		return nil, fmt.Errorf("%w: no version %d", errSnapshot, snapshotVersion)
	}
	if crc32.Checksum(raw[6:], castagnoli) != binary.BigEndian.Uint32(raw[2:]) {
		return nil, fmt.Errorf("%w: its checksum does not match", errSnapshot)
	}
	count, entries := int64(int32(binary.BigEndian.Uint32(raw[6:]))), raw[snapshotHeaderSize:]
	if count*snapshotEntrySize != int64(len(entries)) {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", errSnapshot, count, len(entries))
	}
	p := newProducers()
	for ; len(entries) > 0; entries = entries[snapshotEntrySize:] {
		p.restore(int64(binary.BigEndian.Uint64(entries)), decodeProducer(entries[8:]), now)
	}
	slices.SortFunc(p.open, func(a, b openTxn) int { return cmp.Compare(a.firstOffset, b.firstOffset) })
	return p, nil
}

// restore takes over an entry. What an earlier one said of the same producer and
// epoch is of the batches before.
func (p *producers) restore(id int64, k *producer, now int64) {
	k.active = now
	if before := p.byID[id]; before != nil && before.epoch == k.epoch && len(before.batches) < remembered {
		k.batches = append(before.batches, k.batches...)
	}
	p.byID[id] = k
	if k.txnFirstOffset >= 0 {
		p.open = append(p.open, openTxn{firstOffset: k.txnFirstOffset, producerID: id})
	}
}

// decodeProducer reads an entry after its producer id.
func decodeProducer(raw []byte) *producer {
	k := &producer{
		epoch:            int16(binary.BigEndian.Uint16(raw)),
		timestamp:        int64(binary.BigEndian.Uint64(raw[18:])),
		coordinatorEpoch: int32(binary.BigEndian.Uint32(raw[26:])),
		txnFirstOffset:   int64(binary.BigEndian.Uint64(raw[30:])),
	}
	last := batchMeta{
		LastSequence: int32(binary.BigEndian.Uint32(raw[2:])),
		LastOffset:   int64(binary.BigEndian.Uint64(raw[6:])),
		OffsetDelta:  int32(binary.BigEndian.Uint32(raw[14:])),
		Timestamp:    k.timestamp,
	}
	if last.LastOffset >= 0 {
		k.batches = []batchMeta{last}
	}
	return k
}

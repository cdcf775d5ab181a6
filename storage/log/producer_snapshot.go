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

// encode returns the state as a snapshot file holds it: of each producer the
// last batch alone, so that of others sent again after a restart only that they
// come too late can be said.
func (p *producers) encode() []byte {
	out := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(p.byID)*snapshotEntrySize)
	for _, id := range slices.Sorted(maps.Keys(p.byID)) {
		out = p.byID[id].encode(out, id)
	}
	binary.BigEndian.PutUint16(out, snapshotVersion)
	binary.BigEndian.PutUint32(out[6:], uint32(len(p.byID)))
	binary.BigEndian.PutUint32(out[2:], crc32.Checksum(out[6:], castagnoli))
	return out
}

func (k *producer) encode(out []byte, id int64) []byte {
	last := batchMeta{LastSequence: -1, LastOffset: -1, OffsetDelta: 0}
	if n := len(k.batches); n > 0 {
		last = k.batches[n-1]
	}
	out = binary.BigEndian.AppendUint64(out, uint64(id))
	out = binary.BigEndian.AppendUint16(out, uint16(k.epoch))
	out = binary.BigEndian.AppendUint32(out, uint32(last.LastSequence))
	out = binary.BigEndian.AppendUint64(out, uint64(last.LastOffset))
	out = binary.BigEndian.AppendUint32(out, uint32(last.OffsetDelta))
	out = binary.BigEndian.AppendUint64(out, uint64(k.timestamp))
	out = binary.BigEndian.AppendUint32(out, uint32(k.coordinatorEpoch))
	return binary.BigEndian.AppendUint64(out, uint64(k.txnFirstOffset))
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

func (p *producers) restore(id int64, k *producer, now int64) {
	k.active = now
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

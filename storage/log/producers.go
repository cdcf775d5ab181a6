package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/record"
)

// Origin is who appends.
type Origin int8

// Origins. A client's sequence numbers are checked; a coordinator has none, and
// what a leader sends was checked by it.
const (
	FromClient Origin = iota
	FromCoordinator
	FromLeader
)

// remembered is how many batches of each producer are remembered, so that one
// sent again is known as a duplicate: as many as a producer may have in flight.
const remembered = 5

// producers is the state of the idempotent and transactional producers of one
// partition (KIP-98). Its owner guards it.
type producers struct {
	byID map[int64]*producer
}

// producer is what the partition remembers of one producer.
type producer struct {
	epoch            int16
	batches          []batchMeta // the last few, ascending
	timestamp        int64       // of the last batch or marker, milliseconds
	active           int64       // when that was appended or, after a restart, found; milliseconds
	coordinatorEpoch int32       // of the last marker, -1 for none
	txnFirstOffset   int64       // of the open transaction, -1 for none
}

// batchMeta is what is remembered of one batch.
type batchMeta struct {
	LastSequence int32
	LastOffset   int64
	OffsetDelta  int32
	Timestamp    int64
}

func (m batchMeta) firstOffset() int64   { return m.LastOffset - int64(m.OffsetDelta) }
func (m batchMeta) firstSequence() int32 { return record.AddSequence(m.LastSequence, -m.OffsetDelta) }

func newProducers() *producers { return &producers{byID: map[int64]*producer{}} }

// check returns the batch that b repeats, if its producer sent it before, or why
// b may not follow what the producer sent last.
func (p *producers) check(b record.Batch, origin Origin) (duplicate *batchMeta, err error) {
	known := p.byID[b.ProducerID()]
	if known == nil || origin != FromClient {
		return nil, nil
	}
	if b.ProducerEpoch() < known.epoch {
		return nil, fmt.Errorf("producer %d sends with epoch %d, a newer instance has epoch %d: %w",
			b.ProducerID(), b.ProducerEpoch(), known.epoch, kerr.InvalidProducerEpoch)
	}
	if b.Attributes().Control() {
		return nil, nil
	}
	if b.ProducerEpoch() == known.epoch {
		for i := range known.batches {
			if m := &known.batches[i]; m.firstSequence() == b.BaseSequence() && m.LastSequence == b.LastSequence() {
				return m, nil
			}
		}
	}
	return nil, known.follows(b)
}

// follows checks that b has the sequence number that comes next: 0 in a new
// epoch, any where nothing is remembered of the epoch but its markers.
func (k *producer) follows(b record.Batch) error {
	expected := int32(0)
	if b.ProducerEpoch() == k.epoch {
		if len(k.batches) == 0 {
			return nil
		}
		expected = record.AddSequence(k.batches[len(k.batches)-1].LastSequence, 1)
	} else if len(k.batches) == 0 && k.epoch < 0 {
		return nil
	}
	if b.BaseSequence() != expected {
		return fmt.Errorf("producer %d, epoch %d: sequence number %d, expected %d: %w",
			b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), expected, kerr.OutOfOrderSequenceNumber)
	}
	return nil
}

// update takes in a batch that was appended at now, in milliseconds. Only a
// control batch's records are looked at; of others the header suffices.
func (p *producers) update(b record.Batch, now int64) {
	if b.ProducerID() < 0 {
		return
	}
	k := p.byID[b.ProducerID()]
	if k == nil {
		k = &producer{epoch: b.ProducerEpoch(), coordinatorEpoch: -1, txnFirstOffset: -1}
		p.byID[b.ProducerID()] = k
	}
	if k.epoch != b.ProducerEpoch() {
		k.epoch, k.batches = b.ProducerEpoch(), nil
	}
	k.timestamp, k.active = b.MaxTimestamp(), now
	if b.Attributes().Control() {
		k.end(b)
		return
	}
	k.remember(batchMeta{LastSequence: b.LastSequence(), LastOffset: b.LastOffset(), OffsetDelta: b.LastOffsetDelta(), Timestamp: b.MaxTimestamp()})
	if b.Attributes().Transactional() && k.txnFirstOffset < 0 {
		k.txnFirstOffset = b.BaseOffset()
	}
}

func (k *producer) remember(m batchMeta) {
	if len(k.batches) < remembered {
		k.batches = append(k.batches, m)
		return
	}
	copy(k.batches, k.batches[1:])
	k.batches[remembered-1] = m
}

// end takes in the marker that ends a transaction.
func (k *producer) end(b record.Batch) {
	k.txnFirstOffset = -1
	_ = b.Each(&record.Scratch{}, len(b), func(r *record.Record) error {
		if epoch, ok := record.EndTxnEpoch(r.Value); ok {
			k.coordinatorEpoch = epoch
		}
		return nil
	})
}

// firstUnstable returns the first offset of the earliest open transaction.
func (p *producers) firstUnstable() (offset int64, open bool) {
	for _, k := range p.byID {
		if k.txnFirstOffset >= 0 && (!open || k.txnFirstOffset < offset) {
			offset, open = k.txnFirstOffset, true
		}
	}
	return offset, open
}

// expire forgets producers without an open transaction that were silent for
// longer than expiry milliseconds. Silence is told by this broker's clock: the
// records' own timestamps may be years old, and a producer that sends such must
// not lose its state while it is at work.
func (p *producers) expire(now, expiry int64) {
	for id, k := range p.byID {
		if k.txnFirstOffset < 0 && now-k.active >= expiry {
			delete(p.byID, id)
		}
	}
}

// A snapshot is Kafka's: a version, the CRC-32C of what follows, the number of
// entries, and an entry for each producer (docs/formats/log-files.md).
const (
	snapshotVersion    = 1
	snapshotHeaderSize = 2 + 4 + 4
	snapshotEntrySize  = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns the state as a snapshot file holds it: of each producer the
// last batch alone.
func (p *producers) encode() []byte {
	ids := make([]int64, 0, len(p.byID))
	for id := range p.byID {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	out := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(ids)*snapshotEntrySize)
	for _, id := range ids {
		out = p.byID[id].encode(out, id)
	}
	binary.BigEndian.PutUint16(out, snapshotVersion)
	binary.BigEndian.PutUint32(out[6:], uint32(len(ids)))
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

// decodeProducers reads a snapshot. Its producers count as active at now.
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
		id := int64(binary.BigEndian.Uint64(entries))
		p.byID[id] = decodeProducer(entries[8:])
		p.byID[id].active = now
	}
	return p, nil
}

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

package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/klamm-io/klamm/protocol/record"
)

// kafkaFile is a file that Apache Kafka 4.3 wrote, of a partition with an
// idempotent producer and four transactional ones: one that committed, two that
// aborted, one whose transaction was open when the second segment began.
func kafkaFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "kafka-transactions", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// replayKafka takes in a segment that Kafka wrote, and returns the transactions
// that ended in it.
func replayKafka(t *testing.T, p *producers, name string) (done []completedTxn) {
	t.Helper()
	for rest := kafkaFile(t, name); len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = after
		origin := FromClient
		if b.Attributes().Control() {
			origin = FromCoordinator
		}
		if duplicate, err := p.check(b, &AppendOptions{Origin: origin, Verification: p.beginVerification(b.ProducerID(), b.ProducerEpoch(), 0)}); err != nil || duplicate != nil {
			t.Errorf("batch at %d, which Kafka accepted: duplicate %v, error %v", b.BaseOffset(), duplicate, err)
		}
		if d, ended := p.update(b, 0); ended {
			done = append(done, d)
		}
	}
	return done
}

func TestSnapshotIsThatOfKafka(t *testing.T) {
	p := newProducers()
	replayKafka(t, p, "00000000000000000000.log")
	want := kafkaFile(t, "00000000000000000028.snapshot")
	all := p.encode()
	for _, k := range p.byID {
		k.batches = k.batches[max(0, len(k.batches)-1):] // Kafka writes no more than the last
	}
	if got := p.encode(); !bytes.Equal(got, want) {
		t.Errorf("after the same batches Kafka's snapshot is\n%x\nnot\n%x", want, got)
	}
	restored, err := decodeProducers(want, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ours, err := decodeProducers(all, 0); err != nil || len(ours.byID) != len(restored.byID) {
		t.Errorf("with the batches before the last: %d producers, %v", len(ours.byID), err)
	}
	if first, open := restored.firstUnstable(); first != 23 || !open {
		t.Errorf("the open transaction: got %d, %v", first, open)
	}
	if done := replayKafka(t, restored, "00000000000000000028.log"); len(done) != 1 || done[0].FirstOffset != 23 {
		t.Errorf("goes on from Kafka's snapshot: got %+v", done)
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	p := newProducers()
	p.update(sent{9, 3, 5, 4, 100, false}.batch(t), 0)
	p.update(sent{1 << 40, 0, 0, 1, 104, true}.batch(t), 0)
	p.update(sent{7, 0, 0, 1, 105, true}.batch(t), 0)
	p.update(markerBatch(t, 8, 2, record.ControlAbort, 6, 106), 0)
	got, err := decodeProducers(p.encode(), 77)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range p.byID {
		k.active = 77
	}
	if !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, want %+v", got, p)
	}
	if got, err := decodeProducers(newProducers().encode(), 0); err != nil || len(got.byID) != 0 {
		t.Errorf("no producers: got %+v, %v", got, err)
	}
}

// A batch that was sent again is recognised after a restart too, whichever of the
// last five it is.
func TestSnapshotRemembersTheLastBatches(t *testing.T) {
	p := newProducers()
	for i := range int64(7) {
		p.update(sent{9, 0, int32(3 * i), 3, 100 + 3*i, false}.batch(t), 0)
	}
	restored, err := decodeProducers(p.encode(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(restored, p) {
		t.Errorf("restored %+v, want %+v", restored.byID[9], p.byID[9])
	}
	for i := range int64(7) {
		duplicate, err := restored.check(sent{9, 0, int32(3 * i), 3, 0, false}.batch(t), &AppendOptions{Origin: FromClient})
		if found := duplicate != nil && duplicate.firstOffset() == 100+3*i; found != (i >= 2) {
			t.Errorf("batch %d: duplicate %+v, %v", i, duplicate, err)
		}
	}
}

func TestDamagedSnapshots(t *testing.T) {
	p := newProducers()
	p.update(sent{9, 3, 5, 4, 100, false}.batch(t), 0)
	sound := p.encode()
	for size := range sound {
		if _, err := decodeProducers(sound[:size], 0); !errors.Is(err, errSnapshot) {
			t.Errorf("cut to %d bytes: got %v", size, err)
		}
	}
	for i := range sound {
		flipped := bytes.Clone(sound)
		flipped[i] ^= 0x10
		if _, err := decodeProducers(flipped, 0); !errors.Is(err, errSnapshot) {
			t.Errorf("byte %d changed: got %v", i, err)
		}
	}
	for _, count := range []uint32{0, 2, 1 << 31, 1<<32 - 1} {
		forged := bytes.Clone(sound)
		binary.BigEndian.PutUint32(forged[6:], count)
		binary.BigEndian.PutUint32(forged[2:], crc32.Checksum(forged[6:], castagnoli))
		if _, err := decodeProducers(forged, 0); !errors.Is(err, errSnapshot) {
			t.Errorf("forged count %d: got %v", count, err)
		}
	}
}

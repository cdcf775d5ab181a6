package txn

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// TestRecordsAreThoseOfKafka: the requests that testdata/kafka-records.txt was made
// with, at the same times, write the same bytes.
func TestRecordsAreThoseOfKafka(t *testing.T) {
	wrote := kafkaRecords(t)
	s := newShell(Config{MaxTimeout: time.Hour, AbortInterval: time.Hour, Expiration: time.Hour, Version: two, NewestConnection: none})
	at := func(do func() step.Output) {
		// Every request of this list writes one record, at the time that it carries.
		var v kmsg.TxnMetadataValue
		if err := v.ReadFrom(wrote[len(s.log)].Value); err != nil {
			t.Fatal(err)
		}
		s.now = time.UnixMilli(v.LastUpdateTimestamp)
		s.finish(do())
	}
	request := func(id string, producer int64, epoch, version int16) Request {
		return Request{TransactionalID: id, Producer: Producer{producer, epoch}, Version: version}
	}
	begin := func(id string, fresh int64) {
		at(func() step.Output {
			return s.InitProducerID(request(id, -1, -1, 0), time.Minute, fresh, "init", s.now)
		})
	}
	add := func(id string, producer int64, epoch int16, partition int32) {
		at(func() step.Output {
			return s.AddPartitions(request(id, producer, epoch, 0), []protocol.TopicPartition{{Topic: "t", Partition: partition}}, "add", s.now, s.now)
		})
	}
	end := func(id string, producer int64, epoch, version int16, commit bool) {
		at(func() step.Output { return s.End(request(id, producer, epoch, version), commit, -1, "end", s.now) })
	}
	complete := func(id string) {
		at(func() step.Output { return s.MarkersWritten(s.markers[id], s.markers[id].Partitions, s.now) })
	}

	begin("a", 0)
	add("a", 0, 0, 0)
	add("a", 0, 0, 1)
	end("a", 0, 0, 0, true)
	complete("a")
	add("a", 0, 0, 0)
	begin("a", -1) // aborts first
	complete("a")
	begin("a", -1)
	begin("b", 1)
	end("b", 1, 0, 2, false) // of nothing
	complete("b")
	add("b", 1, 1, 0)
	end("b", 1, 1, 2, true)
	complete("b")
	add("b", 1, 2, 0)
	end("b", 1, 2, 0, true)
	complete("b")

	if len(s.log) != len(wrote) {
		t.Fatalf("%d records were written, Kafka wrote %d:\n%s", len(s.log), len(wrote), s.told.String())
	}
	for i, r := range s.log {
		if string(r.Key) != string(wrote[i].Key) || string(r.Value) != string(wrote[i].Value) {
			t.Errorf("record %d: %x: %x\nKafka wrote %x: %x", i, r.Key, r.Value, wrote[i].Key, wrote[i].Value)
		}
	}
}

// kafkaRecords are what Kafka 4.3.1 wrote, with the partitions sorted: it has them
// in the order of a hash table.
func kafkaRecords(t *testing.T) (all []step.Record) {
	t.Helper()
	text, err := os.ReadFile("testdata/kafka-records.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		k, err := hex.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		v, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, step.Record{Key: k, Value: sorted(t, v)})
	}
	return all
}

func sorted(t *testing.T, value []byte) []byte {
	t.Helper()
	var v kmsg.TxnMetadataValue
	if err := v.ReadFrom(value); err != nil {
		t.Fatal(err)
	}
	if len(v.Topics) == 0 {
		return value
	}
	slices.Sort(v.Topics[0].Partitions)
	return v.AppendTo(nil)
}

// What Kafka wrote is read here, and written again as it was.
func TestRecordsOfKafkaAreRead(t *testing.T) {
	s := newShell(Config{Version: two, NewestConnection: none})
	for i, r := range kafkaRecords(t) {
		if err := s.Replay(r.Key, r.Value, s.now); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if again := s.record(s.txns[string(r.Key[4:])]); string(again.Value) != string(r.Value) {
			t.Errorf("record %d: %x, written again %x", i, r.Value, again.Value)
		}
	}
}

// Records that are not what they should be are named, not believed.
func TestBadRecords(t *testing.T) {
	sound := kafkaRecords(t)[1]
	for name, r := range map[string]step.Record{
		"no key":            {},
		"a short key":       {Key: []byte{0}},
		"a cut key":         {Key: sound.Key[:3], Value: sound.Value},
		"an empty value":    {Key: sound.Key, Value: []byte{}},
		"a cut value":       {Key: sound.Key, Value: sound.Value[:20]},
		"another version":   {Key: sound.Key, Value: append([]byte{0, 9}, sound.Value[2:]...)},
		"a negative number": {Key: sound.Key, Value: append([]byte{255, 255}, sound.Value[2:]...)},
		"a state of none":   {Key: sound.Key, Value: append(append(append([]byte{}, sound.Value[:16]...), 9), sound.Value[17:]...)},
	} {
		s := newShell(Config{Version: two, NewestConnection: none})
		if err := s.Replay(r.Key, r.Value, s.now); err == nil {
			t.Errorf("%s: it was taken in", name)
		}
		if len(s.txns) != 0 {
			t.Errorf("%s: it left a transaction", name)
		}
	}
	s := newShell(Config{Version: two, NewestConnection: none})
	if err := s.Replay([]byte{0, 7, 1}, nil, s.now); err != nil {
		t.Errorf("a key of a version that is not known is left alone, but: %v", err)
	}
}

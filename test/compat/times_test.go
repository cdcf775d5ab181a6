//go:build compat

package compat

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestSeekByTime has each client ask for the records from a time on: one that
// falls into a batch, one of a record, and one that a partition has nothing after.
func TestSeekByTime(t *testing.T) {
	const count, topic = 100, "times"
	createTopic(t, topic, partitions)
	base := time.Now().Add(-time.Hour).UnixMilli()
	for p := range int32(partitions) {
		// A record each 10 s, ten in a batch; the last partition ends long before the others begin.
		writeTimed(t, topic, p, count, base-int64(p/2)*3_600_000)
	}
	for _, c := range present(t) {
		for name, at := range map[string]struct{ ms, want int64 }{
			"between": {base + 555_555, 56},
			"exactly": {base + 420_000, 42},
		} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				events := consume(t, c, topic, 2*int(count-at.want), "from=time", fmt.Sprintf("time=%d", at.ms))
				wantStarts(t, events, map[int32]int64{0: at.want, 1: at.want, 2: -1}, count)
				next := map[int32]int64{0: at.want, 1: at.want}
				for _, e := range records(events) {
					if e.Offset != next[e.Partition] {
						t.Fatalf("partition %d: got offset %d, want %d", e.Partition, e.Offset, next[e.Partition])
					}
					next[e.Partition]++
				}
			})
		}
	}
}

// wantStarts compares the offsets that the time stands for. Where there is
// none, -1 here, some clients say the end of the partition.
func wantStarts(t *testing.T, events []event, want map[int32]int64, end int64) {
	t.Helper()
	got := map[int32]int64{}
	for _, e := range events {
		if e.Event == "start" {
			got[e.Partition] = e.Offset
		}
	}
	for p, offset := range want {
		if got[p] != offset && (offset != -1 || got[p] != end) {
			t.Errorf("the time is offset %d of partition %d, want %d", got[p], p, offset)
		}
	}
}

// writeTimed writes batches of ten records, each 10 s after the one before.
func writeTimed(t *testing.T, topic string, partition int32, count int, from int64) {
	t.Helper()
	cl := producer(t, topic, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	for i := 0; i < count; i += 10 {
		var batch []*kgo.Record
		for j := range 10 {
			at := time.UnixMilli(from + int64(i+j)*10_000)
			batch = append(batch, &kgo.Record{Partition: partition, Timestamp: at, Value: []byte("x")})
		}
		if err := cl.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogAppendTime has each client write into a topic that keeps the time at
// which a record came, and each read what all wrote: it sees that time, not the
// one that the record's producer gave it.
func TestLogAppendTime(t *testing.T) {
	const topic = "append-times"
	present := present(t)
	createTopicWith(t, topic, int32(len(present)), map[string]*string{"message.timestamp.type": kadm.StringPtr("LogAppendTime")})
	sent, came := make([]int64, len(present)), make([]int64, len(present))
	for i, c := range present {
		sent[i] = time.Now().UnixMilli()
		long := message{Partition: int32(i), Timestamp: sent[i] - 3_600_000, Key: []byte("k"), Value: []byte("v")}
		produce(t, c, topic, "gzip", []message{long, long})
		came[i] = time.Now().UnixMilli()
	}
	for _, c := range present {
		if c.ignoresAppendTime {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			for _, e := range records(consume(t, c, topic, 2*len(present))) {
				if e.Timestamp < sent[e.Partition] || e.Timestamp > came[e.Partition] {
					t.Errorf("a record of %s: timestamp %d, it came from %d to %d", present[e.Partition].name, e.Timestamp, sent[e.Partition], came[e.Partition])
				}
			}
		})
	}
}

// producer returns a client of this test's own that writes to topic.
func producer(t *testing.T, topic string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append(opts, kgo.SeedBrokers(broker(t).Addr), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

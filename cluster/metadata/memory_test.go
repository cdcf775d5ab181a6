package metadata

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/klamm-io/klamm/protocol"
)

// BenchmarkMemory says what a partition costs in memory and in a snapshot: 100,000
// of three replicas, ten to a topic, read from bytes as at a start.
func BenchmarkMemory(b *testing.B) {
	const topics, each = 10_000, 10
	encoded := make([][]byte, topics)
	size := 0
	for n := range encoded {
		encoded[n] = Encode(nil, &TopicCreated{replicated(n, each)})
		size += len(encoded[n])
	}
	for b.Loop() {
		before := heap()
		img, decoder := Empty(), NewDecoder()
		for _, bytes := range encoded {
			r, err := decoder.Record(bytes)
			if err != nil {
				b.Fatal(err)
			}
			img = mustApply(b, img, r)
		}
		b.ReportMetric(float64(heap()-before)/topics/each, "heap-B/partition")
		runtime.KeepAlive(img)
	}
	b.ReportMetric(float64(size)/topics/each, "snapshot-B/partition")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// replicated is a topic whose partitions have three replicas on six brokers, one in
// three of them with one replica out of sync.
func replicated(n, partitions int) Topic {
	t := Topic{Name: fmt.Sprintf("topic-%d", n), ID: protocol.NewTopicID(), Partitions: make([]Partition, partitions)}
	for i := range t.Partitions {
		first := int32((n + i) % 6)
		replicas := []int32{first, (first + 1) % 6, (first + 2) % 6}
		isr := slices.Clone(replicas)
		if i%3 == 0 {
			isr = isr[:2]
		}
		t.Partitions[i] = Partition{Leader: first, LeaderEpoch: 5, PartitionEpoch: 9, Replicas: replicas, ISR: isr}
	}
	return t
}

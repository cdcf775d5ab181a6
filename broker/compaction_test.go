package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/storage/disk"
)

// bytesOf is what the partitions of a topic hold.
func (n *node) bytesOf(topic string) (total int64) {
	for _, p := range n.partitions.Topic(topic) {
		total += p.Log().Size()
	}
	return total
}

// eager are settings by which internal topics are soon compacted.
var eager = []string{
	"offsets.topic.num.partitions=1", "transaction.state.log.num.partitions=1", "log.cleaner.backoff.ms=20",
	"offsets.topic.segment.bytes=1048576", "transaction.state.log.segment.bytes=1048576",
}

// What groups committed and what transactional ids were given outlives the
// compaction of the topics that keep it, and a restart after that.
func TestInternalTopicsAreCompacted(t *testing.T) {
	dir := t.TempDir()
	n := start(t, disk.OS, dir, eager...)
	const partitions, rounds = 400, 60
	n.createWith(partitions, nil, "wide")
	id := strings.Repeat("transactional-", 400)
	offsets := func(round int64) (all kadm.Offsets) {
		for p := range int32(partitions) {
			all.AddOffset("wide", p, 1000*round+int64(p), -1)
		}
		return all
	}
	adm := kadm.NewClient(n.client())
	for round := range int64(rounds) {
		if err := adm.CommitAllOffsets(deadline(t), "readers", offsets(round)); err != nil {
			t.Fatal(err)
		}
	}
	cl := n.client(kgo.TransactionalID(id), kgo.DefaultProduceTopic("wide"))
	for range 150 {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(deadline(t), kgo.StringRecord("v")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(deadline(t), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	producer, epoch, err := cl.ProducerID(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{offsetsTopic, metadata.TransactionState} {
		eventually(t, "compaction of "+topic, func() bool { return n.bytesOf(topic) < 2<<20 })
		eventually(t, "a pass over "+topic, func() bool {
			return strings.Contains(n.log.String(), fmt.Sprintf("partition=%s-0 from=0", topic))
		})
	}
	n.stopClean()

	n = start(t, disk.OS, dir, eager...)
	got, err := kadm.NewClient(n.client()).FetchOffsets(deadline(t), "readers")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(partitions) {
		if at, known := got.Lookup("wide", p); !known || at.At != 1000*(rounds-1)+int64(p) {
			t.Fatalf("partition %d: committed %+v (%v)", p, at, known)
		}
	}
	again, later, err := n.client(kgo.TransactionalID(id)).ProducerID(deadline(t))
	if err != nil || again != producer || later <= epoch {
		t.Errorf("producer %d, epoch %d, %v; before %d, epoch %d", again, later, err, producer, epoch)
	}
}

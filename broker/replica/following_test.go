package replica

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// follow returns a partition of broker 2, in the term in which broker 1 leads it.
func follow(t *testing.T) *following {
	t.Helper()
	tp, l := openFlights(t, disk.NewMemory(), 0, true)
	p := NewSet().AddReplica(tp, flightsID, l)
	return p.follow(Assignment{Leader: 1, LeaderEpoch: 3, Replicas: []int32{1, 2}, ISR: []int32{1}, MinISR: 1})
}

// leaderAnswer is what the leader sends of a log that begins at start.
func leaderAnswer(start, highWatermark int64, records record.Batch) *kmsg.FetchResponseTopicPartition {
	answer := kmsg.NewFetchResponseTopicPartition()
	answer.LogStartOffset, answer.HighWatermark, answer.RecordBatches = start, highWatermark, records
	return &answer
}

func batchAt(t *testing.T, offset int64, count int) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	for range count {
		b.Append(time.Now().UnixMilli(), nil, []byte("value"))
	}
	batch, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	batch.SetBaseOffset(offset)
	batch.SetPartitionLeaderEpoch(3)
	return batch
}

// A leader whose records were deleted up to the middle of a batch sends it whole to a
// follower that has fallen behind its start, and the follower takes it.
func TestFollowsFromTheMiddleOfABatch(t *testing.T) {
	f := follow(t)
	if err := f.reset(0, 7, 20); err != nil {
		t.Fatal(err)
	}
	if err := f.take(7, leaderAnswer(7, 20, batchAt(t, 5, 10)), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := f.take(15, leaderAnswer(7, 20, batchAt(t, 15, 5)), time.Now()); err != nil {
		t.Fatal(err)
	}
	p := f.partition
	if start, end, hw := p.log.Start(), p.log.End(), p.HighWatermark(); start != 7 || end != 20 || hw != 20 {
		t.Errorf("the log goes from %d to %d with high watermark %d, want 7 to 20 with 20", start, end, hw)
	}
}

// A log that holds something takes nothing that begins before its end.
func TestFollowerTakesNothingTwice(t *testing.T) {
	f := follow(t)
	if err := f.take(0, leaderAnswer(0, 10, batchAt(t, 0, 10)), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := f.take(10, leaderAnswer(0, 15, batchAt(t, 5, 10)), time.Now()); err == nil {
		t.Error("a batch that begins before the log's end was appended")
	}
	if end := f.partition.log.End(); end != 10 {
		t.Errorf("the log ends at %d, want 10", end)
	}
}

// A replica whose log is damaged copies it anew from the first damaged record on, but
// only where it may hold nothing that is missed elsewhere: others are in sync, it is
// not, and its log took nothing yet in this term.
func TestRepair(t *testing.T) {
	for name, c := range map[string]struct {
		isr     []int32
		offline []int32
		minISR  int
		took    bool
		want    int64
	}{
		"others are in sync":             {isr: []int32{1, 3}, minISR: 2, want: 1},
		"too few are":                    {isr: []int32{1}, minISR: 2, want: 3},
		"it counts as in sync":           {isr: []int32{1, 2}, minISR: 2, want: 3},
		"the other is damaged too":       {isr: []int32{1}, offline: []int32{2, 3}, minISR: 2, want: 1},
		"it took something in this term": {isr: []int32{1, 3}, minISR: 2, took: true, want: 3},
	} {
		p := NewSet().AddReplica(openDamaged(t))
		a := Assignment{Leader: 1, LeaderEpoch: 5, Replicas: []int32{1, 2, 3}, ISR: c.isr, Offline: c.offline, MinISR: c.minISR}
		// What it did in a term before is known to nobody in this one.
		p.lead(Assignment{Leader: 2, LeaderEpoch: 4, Replicas: a.Replicas, ISR: a.Replicas, MinISR: 1}, 2, isrRules{}, nil)
		f := p.follow(a)
		f.took = c.took
		if _, err := f.repair(a, 2); err != nil || p.log.End() != c.want {
			t.Errorf("%s: the log ends at %d, want %d (%v)", name, p.log.End(), c.want, err)
		}
	}
}

// openDamaged opens a log of three batches, the second of which was damaged while its
// process was down.
func openDamaged(t *testing.T) (protocol.TopicPartition, protocol.TopicID, *log.Log) {
	t.Helper()
	m := disk.NewMemory()
	_, l := openFlights(t, m, 0, true)
	size := 0
	for offset := range int64(3) {
		batch := batchAt(t, offset, 1)
		size = len(batch)
		if _, err := l.AppendReplicated(batch, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	after := disk.NewFaulty(m.Kill())
	after.FlipBit(l.Path()+"/00000000000000000000.log", int64(size+size-1), 3)
	tp, l := openFlights(t, after, 0, true)
	if l.End() != 3 {
		t.Fatalf("the log ends at %d", l.End())
	}
	return tp, flightsID, l
}

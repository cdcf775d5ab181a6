package broker

import (
	"math"
	"testing"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

// TestBucketHoldsItsRate: whatever is taken, no more than the rate gets through over
// some seconds, but for one second's worth at the start and the last piece.
func TestBucketHoldsItsRate(t *testing.T) {
	for _, rate := range []int64{1, 1000, 1 << 20, 1 << 30} {
		b := bucket{rate: rate}
		now, taken, piece := time.Unix(100, 0), int64(0), max(1, rate/7)
		for end := now.Add(10 * time.Second); now.Before(end); {
			if wait := b.wait(now); wait > 0 {
				now = now.Add(wait)
				continue
			}
			b.take(int(piece), now)
			taken += piece
		}
		if most := 11*rate + piece; taken > most || taken < 9*rate {
			t.Errorf("at %d bytes/s %d were taken in 10 s", rate, taken)
		}
	}
	free := bucket{rate: math.MaxInt64}
	free.take(math.MaxInt32, time.Unix(1, 0))
	if wait := free.wait(time.Unix(1, 0)); wait != 0 {
		t.Errorf("without a bound one waits %s", wait)
	}
	shut := bucket{}
	if shut.wait(time.Unix(1, 0)) <= 0 {
		t.Error("at a rate of 0 something may be taken")
	}
}

// TestOnlyNamedReplicasAreThrottled: those in sync, and those that nobody named, are
// copied as fast as it goes.
func TestOnlyNamedReplicasAreThrottled(t *testing.T) {
	img, _, err := metadata.Empty().Apply([]metadata.Record{&metadata.TopicCreated{Topic: metadata.Topic{
		Name: "a", ID: protocol.NewTopicID(),
		Partitions: []metadata.Partition{{Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2}}, {Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	throttles := newThrottles(1)
	throttles.setRates(config.ReplicationRates{}) // nothing at all may be copied
	for _, c := range []struct {
		named     string
		partition int32
		follower  int32
		mayRead   bool
	}{
		{"", 0, 3, true},
		{"*", 0, 3, false},
		{"*", 0, 2, true}, // it is in sync
		{"0:1", 0, 3, false},
		{"0:1", 1, 3, true},
		{"0:2,1:1", 1, 3, false},
		{"0:2", 0, 3, true}, // of another leader
	} {
		throttles.setTopic("a", &config.Topic{LeaderThrottled: c.named})
		if got := throttles.MayRead(img, protocol.TopicPartition{Topic: "a", Partition: c.partition}, c.follower); got != c.mayRead {
			t.Errorf("%q: broker %d may read a-%d: %v", c.named, c.follower, c.partition, got)
		}
	}
	own := newThrottles(3)
	own.setRates(config.ReplicationRates{})
	own.setTopic("a", &config.Topic{FollowerThrottled: "0:3"})
	if wait := own.copyIn(img, protocol.TopicPartition{Topic: "a"}); wait <= 0 {
		t.Error("a named replica that is not in sync is copied")
	}
	if wait := own.copyIn(img, protocol.TopicPartition{Topic: "a", Partition: 1}); wait != 0 {
		t.Error("a replica that nobody named is throttled")
	}
}

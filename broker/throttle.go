package broker

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

// throttles slow down the copying of replicas that an operator named, so that moving
// them leaves room for clients (KIP-73). A replica in sync is never slowed down.
type throttles struct {
	node             int32
	leader, follower bucket

	mu sync.RWMutex
	// Guarded by mu.
	topics map[string]topicThrottle // those that name any replicas
}

type topicThrottle struct{ leader, follower config.ThrottledReplicas }

func newThrottles(node int32) *throttles {
	return &throttles{node: node, leader: bucket{rate: math.MaxInt64}, follower: bucket{rate: math.MaxInt64}, topics: map[string]topicThrottle{}}
}

// setRates takes up how fast it may go.
func (t *throttles) setRates(r config.ReplicationRates) {
	t.leader.setRate(r.Leader)
	t.follower.setRate(r.Follower)
}

// setTopic takes up which replicas of a topic are slowed down.
func (t *throttles) setTopic(name string, c *config.Topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.LeaderThrottled == "" && c.FollowerThrottled == "" {
		delete(t.topics, name)
		return
	}
	t.topics[name] = topicThrottle{leader: config.ParseThrottled(c.LeaderThrottled), follower: config.ParseThrottled(c.FollowerThrottled)}
}

func (t *throttles) forget(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.topics, topic)
}

func (t *throttles) of(topic string) topicThrottle {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.topics[topic]
}

// copyIn is how long a partition is not to be copied to this broker.
func (t *throttles) copyIn(img *metadata.Image, tp protocol.TopicPartition) time.Duration {
	if !t.of(tp.Topic).follower.Has(tp.Partition, t.node) || inISR(img, tp, t.node) {
		return 0
	}
	return t.follower.wait(time.Now())
}

// copied notes that so many bytes of a partition were copied to this broker.
func (t *throttles) copied(img *metadata.Image, tp protocol.TopicPartition, bytes int) {
	if t.of(tp.Topic).follower.Has(tp.Partition, t.node) && !inISR(img, tp, t.node) {
		t.follower.take(bytes, time.Now())
	}
}

// MayRead reports whether a follower may copy a partition from this broker now.
func (t *throttles) MayRead(img *metadata.Image, tp protocol.TopicPartition, follower int32) bool {
	if !t.of(tp.Topic).leader.Has(tp.Partition, t.node) || inISR(img, tp, follower) {
		return true
	}
	return t.leader.wait(time.Now()) <= 0
}

// Read notes that a follower copied so many bytes of a partition from this broker.
func (t *throttles) Read(img *metadata.Image, tp protocol.TopicPartition, follower int32, bytes int) {
	if t.of(tp.Topic).leader.Has(tp.Partition, t.node) && !inISR(img, tp, follower) {
		t.leader.take(bytes, time.Now())
	}
}

func inISR(img *metadata.Image, tp protocol.TopicPartition, broker int32) bool {
	t, found := img.Topic(tp.Topic)
	return found && int(tp.Partition) < len(t.Partitions) && slices.Contains(t.Partitions[tp.Partition].ISR, broker)
}

// bucket is a rate that may be exceeded by a second's worth at once.
type bucket struct {
	mu sync.Mutex
	// Guarded by mu.
	rate int64     // bytes a second; math.MaxInt64: no bound
	debt float64   // bytes that were taken and that time has not paid for
	at   time.Time // when debt was that
}

func (b *bucket) setRate(rate int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate = rate
}

func (b *bucket) take(bytes int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(now)
	b.debt += float64(bytes)
}

// wait is how long nothing may be taken.
func (b *bucket) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == math.MaxInt64 {
		return 0
	}
	b.settle(now)
	over := b.debt - float64(b.rate)
	if over < 0 || over == 0 && b.rate > 0 {
		return 0
	}
	return time.Duration(min(over/math.Max(1, float64(b.rate)), longestThrottle.Seconds())*float64(time.Second)).Round(time.Millisecond) + time.Millisecond
}

// longestThrottle bounds a wait, after which it is looked again at the rate.
const longestThrottle = 500 * time.Millisecond

// settle lets the time since the last look pay. The caller holds mu.
func (b *bucket) settle(now time.Time) {
	if !b.at.IsZero() {
		b.debt = math.Max(0, b.debt-now.Sub(b.at).Seconds()*float64(b.rate))
	}
	b.at = now
}

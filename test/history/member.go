package history

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// Member is a member of a consumer group that commits what it read.
type Member struct {
	name, group string
	client      *kgo.Client
	checker     *Checker

	mu sync.Mutex
	// Guarded by mu.
	fresh map[protocol.TopicPartition]bool // assigned, and nothing read of it yet
}

// NewMember returns a member, which begins to join at once.
func NewMember(t testing.TB, name, group string, seeds []string, c *Checker, topics []string, more ...kgo.Opt) *Member {
	t.Helper()
	m := &Member{name: name, group: group, checker: c, fresh: map[protocol.TopicPartition]bool{}}
	m.client = NewClient(t, append(Patience(seeds,
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.OnPartitionsAssigned(m.assigned)), more...))
	return m
}

func (m *Member) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, list := range partitions {
		for _, p := range list {
			m.fresh[protocol.TopicPartition{Topic: topic, Partition: p}] = true
		}
	}
}

// OffsetOf names the register of a group's committed offset.
func OffsetOf(group string, tp protocol.TopicPartition) string {
	return fmt.Sprintf("the offset of %s that %s committed", tp, group)
}

// Run reads and commits until ctx ends.
func (m *Member) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := m.poll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// poll reads once and commits what it read. The group cannot rebalance meanwhile.
func (m *Member) poll(ctx context.Context) error {
	fetches := m.client.PollFetches(ctx)
	defer m.client.AllowRebalance()
	if ctx.Err() != nil {
		return nil
	}
	if err := Refusal(fetches); err != nil {
		return fmt.Errorf("%s reads: %w", m.name, err)
	}
	next := map[string]map[int32]kgo.EpochOffset{}
	for it := fetches.RecordIter(); !it.Done(); {
		if err := m.take(it.Next(), next); err != nil {
			return err
		}
	}
	m.commit(ctx, next)
	return nil
}

func (m *Member) take(kr *kgo.Record, next map[string]map[int32]kgo.EpochOffset) error {
	tp := protocol.TopicPartition{Topic: kr.Topic, Partition: kr.Partition}
	r, err := Decode(kr.Value)
	if err != nil {
		return fmt.Errorf("%s reads %s at offset %d: %w", m.name, tp, kr.Offset, err)
	}
	m.mu.Lock()
	fresh := m.fresh[tp]
	delete(m.fresh, tp)
	m.mu.Unlock()
	if fresh {
		register := OffsetOf(m.group, tp)
		m.checker.Looked(register, m.checker.Floor(register), kr.Offset)
		m.checker.Seek(m.name, tp, kr.Offset)
	}
	m.checker.Read(m.name, tp, kr.Offset, r)
	if next[tp.Topic] == nil {
		next[tp.Topic] = map[int32]kgo.EpochOffset{}
	}
	next[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: kr.LeaderEpoch, Offset: kr.Offset + 1}
	return nil
}

// commit commits and tells the checker what was confirmed. A commit may fail
// while the broker is down or the group rebalances; the next one covers it.
func (m *Member) commit(ctx context.Context, next map[string]map[int32]kgo.EpochOffset) {
	if len(next) == 0 {
		return
	}
	for topic, partitions := range next {
		for p, at := range partitions {
			m.checker.Asked(OffsetOf(m.group, protocol.TopicPartition{Topic: topic, Partition: p}), at.Offset)
		}
	}
	m.client.CommitOffsetsSync(ctx, next, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if kerr.ErrorForCode(p.ErrorCode) == nil {
					m.checker.Confirmed(OffsetOf(m.group, protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}), next[t.Topic][p.Partition].Offset)
				}
			}
		}
	})
}

// LookAtGroup tells the checker what a group has committed. An error says that
// nobody could tell; a caller may try again.
func LookAtGroup(ctx context.Context, admin *kadm.Client, c *Checker, group string, targets []protocol.TopicPartition) error {
	floors := map[protocol.TopicPartition]int64{}
	for _, tp := range targets {
		floors[tp] = c.Floor(OffsetOf(group, tp))
	}
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("fetch the offsets of %s: %w", group, err)
	}
	for tp, floor := range floors {
		at, found := committed.Lookup(tp.Topic, tp.Partition)
		if found && at.Err != nil {
			return fmt.Errorf("fetch the offset of %s that %s committed: %w", tp, group, at.Err)
		}
		c.Looked(OffsetOf(group, tp), floor, max(0, at.At))
	}
	return nil
}

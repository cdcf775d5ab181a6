//go:build chaos

package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// encode returns the record's value: its name, and filling whose length and
// bytes follow from the name, so that a reader can tell each byte of it.
func encode(r Record) []byte {
	rng := rand.New(rand.NewPCG(uint64(r.Producer), uint64(r.Seq)))
	value := fmt.Appendf(nil, "%d %d ", r.Producer, r.Seq)
	length := rng.IntN(200)
	if rng.IntN(20) == 0 {
		length = rng.IntN(8 << 10)
	}
	for range length / 8 {
		value = fmt.Appendf(value, "%08x", rng.Uint32())
	}
	return value
}

// decode returns the record that a value is of.
func decode(value []byte) (r Record, err error) {
	if _, err := fmt.Sscanf(string(value[:min(len(value), 40)]), "%d %d ", &r.Producer, &r.Seq); err != nil {
		return r, fmt.Errorf("a value that nobody sent: %q", value[:min(len(value), 40)])
	}
	if !bytes.Equal(value, encode(r)) {
		return r, fmt.Errorf("the value of %s is not what was sent", r)
	}
	return r, nil
}

// patience are options of clients that outlive a broker that comes and goes.
func patience(addr string, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(addr),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryTimeout(time.Minute),
		kgo.RequestRetries(1000),
		kgo.AlwaysRetryEOF(), // a broker that is killed as it takes a connection is no sign of wrong credentials
	}, more...)
}

func newClient(t *testing.T, opts []kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.CloseAllowingRebalance)
	return cl
}

// producer sends records to its partitions until it is stopped, and waits for
// what it sent.
type producer struct {
	id      int
	client  *kgo.Client
	checker *Checker
	targets []protocol.TopicPartition
	pace    time.Duration // between bursts
	acked   *atomic.Int64 // by all producers
}

// producerKinds are the ways to produce; a producer's id is its place here.
var producerKinds = []struct {
	idempotent bool
	opts       []kgo.Opt
}{
	{true, []kgo.Opt{kgo.ProducerBatchCompression(kgo.NoCompression())}},
	{true, []kgo.Opt{kgo.ProducerBatchCompression(kgo.ZstdCompression())}},
	{true, []kgo.Opt{kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(5 * time.Millisecond)}},
	{false, plainly(kgo.AllISRAcks(), kgo.NoCompression())},
	{false, plainly(kgo.AllISRAcks(), kgo.GzipCompression())},
	{false, plainly(kgo.LeaderAck(), kgo.SnappyCompression())},
	{false, plainly(kgo.LeaderAck(), kgo.NoCompression())},
}

// plainly makes a producer that is not idempotent. It has one request under way
// at a time: with more, what is sent again may overtake.
func plainly(acks kgo.Acks, codec kgo.CompressionCodec) []kgo.Opt {
	return []kgo.Opt{
		kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1), kgo.RequiredAcks(acks), kgo.ProducerBatchCompression(codec),
	}
}

func idempotentKinds() (ids []int) {
	for id, kind := range producerKinds {
		if kind.idempotent {
			ids = append(ids, id)
		}
	}
	return ids
}

func newProducer(t *testing.T, id int, addr string, c *Checker, targets []protocol.TopicPartition, acked *atomic.Int64) *producer {
	opts := patience(addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.StopProducerOnDataLossDetected())
	return &producer{
		id: id, client: newClient(t, append(opts, producerKinds[id].opts...)), checker: c, targets: targets,
		pace: 10 * time.Millisecond, acked: acked,
	}
}

// run sends bursts, and when ctx ends waits until all is acknowledged.
func (p *producer) run(ctx context.Context, rng *rand.Rand) error {
	tick := time.NewTicker(p.pace)
	defer tick.Stop()
	failed := make(chan error, 1)
	sent := map[protocol.TopicPartition]int64{}
	for {
		select {
		case <-ctx.Done():
			return errors.Join(p.drain(), firstOf(failed))
		case err := <-failed:
			return err
		case <-tick.C:
		}
		tp := p.targets[rng.IntN(len(p.targets))]
		for range 1 + rng.IntN(15) {
			p.send(tp, Record{p.id, sent[tp]}, failed)
			sent[tp]++
		}
	}
}

func (p *producer) send(tp protocol.TopicPartition, r Record, failed chan<- error) {
	kr := &kgo.Record{Topic: tp.Topic, Partition: tp.Partition, Value: encode(r)}
	p.client.Produce(context.Background(), kr, func(kr *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- fmt.Errorf("produce %s to %s: %w", r, tp, err):
			default:
			}
			return
		}
		p.checker.Acked(tp, kr.Offset, r)
		p.acked.Add(1)
	})
}

// drainLimit bounds how long what was sent may take to be acknowledged once the
// broker stays.
const drainLimit = 30 * time.Second

func (p *producer) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("producer %d: %d records are not acknowledged after %s: %w", p.id, p.client.BufferedProduceRecords(), drainLimit, err)
	}
	return nil
}

func firstOf(failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// newReader returns a client that reads partitions from offset 0 on. An offset
// that the broker does not have is an error.
func newReader(t *testing.T, addr string, from []protocol.TopicPartition) *kgo.Client {
	t.Helper()
	offsets := map[string]map[int32]kgo.Offset{}
	for _, tp := range from {
		if offsets[tp.Topic] == nil {
			offsets[tp.Topic] = map[int32]kgo.Offset{}
		}
		offsets[tp.Topic][tp.Partition] = kgo.NewOffset().At(0)
	}
	return newClient(t, patience(addr, kgo.ConsumePartitions(offsets), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(200*time.Millisecond)))
}

// refusal returns what the broker or the client's own checks have against a
// fetch, and not that the broker went away.
func refusal(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		var answer *kerr.Error
		var lost *kgo.ErrDataLoss
		if errors.As(e.Err, &answer) && !answer.Retriable || errors.As(e.Err, &lost) {
			return fmt.Errorf("%s-%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return nil
}

// read tells the checker all that a client reads until ctx ends. done, which may
// be nil, is asked after each poll whether that is enough.
func read(ctx context.Context, cl *kgo.Client, name string, c *Checker, done func(protocol.TopicPartition, int64) bool) error {
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		if err := refusal(fetches); err != nil {
			return fmt.Errorf("%s reads: %w", name, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			kr := it.Next()
			tp := protocol.TopicPartition{Topic: kr.Topic, Partition: kr.Partition}
			r, err := decode(kr.Value)
			if err != nil {
				return fmt.Errorf("%s reads %s at offset %d: %w", name, tp, kr.Offset, err)
			}
			c.Read(name, tp, kr.Offset, r)
			if done != nil && done(tp, kr.Offset) {
				return nil
			}
		}
	}
	return nil
}

// member is a member of a consumer group that commits what it read.
type member struct {
	name, group string
	client      *kgo.Client
	checker     *Checker

	mu sync.Mutex
	// Guarded by mu.
	fresh map[protocol.TopicPartition]bool // assigned, and nothing read of it yet
}

func newMember(t *testing.T, name, group, addr string, c *Checker, topics []string) *member {
	m := &member{name: name, group: group, checker: c, fresh: map[protocol.TopicPartition]bool{}}
	m.client = newClient(t, patience(addr,
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.OnPartitionsAssigned(m.assigned)))
	return m
}

func (m *member) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, list := range partitions {
		for _, p := range list {
			m.fresh[protocol.TopicPartition{Topic: topic, Partition: p}] = true
		}
	}
}

// offsetOf names the register of a group's committed offset.
func offsetOf(group string, tp protocol.TopicPartition) string {
	return fmt.Sprintf("the offset of %s that %s committed", tp, group)
}

// run reads and commits until ctx ends.
func (m *member) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := m.poll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// poll reads once and commits what it read. The group cannot rebalance meanwhile.
func (m *member) poll(ctx context.Context) error {
	fetches := m.client.PollFetches(ctx)
	defer m.client.AllowRebalance()
	if ctx.Err() != nil {
		return nil
	}
	if err := refusal(fetches); err != nil {
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

func (m *member) take(kr *kgo.Record, next map[string]map[int32]kgo.EpochOffset) error {
	tp := protocol.TopicPartition{Topic: kr.Topic, Partition: kr.Partition}
	r, err := decode(kr.Value)
	if err != nil {
		return fmt.Errorf("%s reads %s at offset %d: %w", m.name, tp, kr.Offset, err)
	}
	m.mu.Lock()
	fresh := m.fresh[tp]
	delete(m.fresh, tp)
	m.mu.Unlock()
	if fresh {
		register := offsetOf(m.group, tp)
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
func (m *member) commit(ctx context.Context, next map[string]map[int32]kgo.EpochOffset) {
	if len(next) == 0 {
		return
	}
	for topic, partitions := range next {
		for p, at := range partitions {
			m.checker.Asked(offsetOf(m.group, protocol.TopicPartition{Topic: topic, Partition: p}), at.Offset)
		}
	}
	m.client.CommitOffsetsSync(ctx, next, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if kerr.ErrorForCode(p.ErrorCode) == nil {
					m.checker.Confirmed(offsetOf(m.group, protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}), next[t.Topic][p.Partition].Offset)
				}
			}
		}
	})
}

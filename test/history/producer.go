package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol"
)

// Producer sends records to its partitions until it is stopped, and waits for
// what it sent.
type Producer struct {
	ID      int
	Client  *kgo.Client
	Checker *Checker
	Targets []protocol.TopicPartition
	Pace    time.Duration // between bursts
	Burst   int           // records that one burst has at most
	Acked   func()        // called after each acknowledgement
}

// Kind is a way to produce.
type Kind struct {
	Idempotent  bool
	AllReplicas bool // acks=all: an acknowledged record outlives its leader
	Opts        []kgo.Opt
}

// Kinds are all that are tried; a producer's ID is its kind's place here.
var Kinds = []Kind{
	{true, true, []kgo.Opt{kgo.ProducerBatchCompression(kgo.NoCompression())}},
	{true, true, []kgo.Opt{kgo.ProducerBatchCompression(kgo.ZstdCompression())}},
	{true, true, []kgo.Opt{kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(5 * time.Millisecond)}},
	{false, true, plainly(kgo.AllISRAcks(), kgo.NoCompression())},
	{false, true, plainly(kgo.AllISRAcks(), kgo.GzipCompression())},
	{false, false, plainly(kgo.LeaderAck(), kgo.SnappyCompression())},
	{false, false, plainly(kgo.LeaderAck(), kgo.NoCompression())},
}

// plainly makes a producer that is not idempotent. It has one request under way
// at a time: with more, what is sent again may overtake.
func plainly(acks kgo.Acks, codec kgo.CompressionCodec) []kgo.Opt {
	return []kgo.Opt{
		kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1), kgo.RequiredAcks(acks), kgo.ProducerBatchCompression(codec),
	}
}

// IdempotentKinds are the places of those in Kinds, for NewChecker.
func IdempotentKinds() (ids []int) {
	for id, kind := range Kinds {
		if kind.Idempotent {
			ids = append(ids, id)
		}
	}
	return ids
}

// NewProducer returns a producer of the kind at id, which sends bursts of up to
// 15 records.
func NewProducer(t testing.TB, id int, seeds []string, c *Checker, targets []protocol.TopicPartition, acked func(), more ...kgo.Opt) *Producer {
	t.Helper()
	opts := Patience(seeds, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.StopProducerOnDataLossDetected())
	return &Producer{
		ID: id, Client: NewClient(t, slices.Concat(opts, Kinds[id].Opts, more)), Checker: c, Targets: targets,
		Pace: 10 * time.Millisecond, Burst: 15, Acked: acked,
	}
}

// Run sends bursts, and when ctx ends waits until all is acknowledged.
func (p *Producer) Run(ctx context.Context, rng *rand.Rand) error {
	tick := time.NewTicker(p.Pace)
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
		tp := p.Targets[rng.IntN(len(p.Targets))]
		for range 1 + rng.IntN(p.Burst) {
			p.send(tp, Record{p.ID, sent[tp]}, failed)
			sent[tp]++
		}
	}
}

func (p *Producer) send(tp protocol.TopicPartition, r Record, failed chan<- error) {
	kr := &kgo.Record{Topic: tp.Topic, Partition: tp.Partition, Value: Encode(r)}
	p.Client.Produce(context.Background(), kr, func(kr *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- fmt.Errorf("produce %s to %s: %w", r, tp, err):
			default:
			}
			return
		}
		p.Checker.Acked(tp, kr.Offset, r)
		p.Acked()
	})
}

// drainLimit bounds how long what was sent may take to be acknowledged once the
// broker stays.
const drainLimit = 30 * time.Second

func (p *Producer) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	if err := p.Client.Flush(ctx); err != nil {
		return fmt.Errorf("producer %d: %d records are not acknowledged after %s: %w", p.ID, p.Client.BufferedProduceRecords(), drainLimit, err)
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

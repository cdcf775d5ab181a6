package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/test/brokers"
)

// result is what was measured of one broker.
type result struct {
	bytes      int64 // of the log before it was compacted
	took       time.Duration
	cpu        time.Duration // of the broker meanwhile, for producer and reader too
	peak, rest int64         // bytes of memory
	left       int           // records
	quiet      time.Duration // that was waited after the end
}

// goOn is how many records a second are written while the log is compacted.
const goOn = 5000

func compactLog(ctx context.Context, b *brokers.Broker, load load) (r result, err error) {
	cl, err := client(b.Addr)
	if err != nil {
		return r, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{
		"cleanup.policy": kadm.StringPtr("compact"), "min.cleanable.dirty.ratio": kadm.StringPtr("1"), "segment.bytes": kadm.StringPtr("104857600"),
		"file.delete.delay.ms": kadm.StringPtr("1000"),
	}, topic); err != nil {
		return r, err
	}
	s := newSent(load)
	if err := s.write(ctx, b.Addr, load.records, 0); err != nil {
		return r, err
	}
	if r.bytes, err = size(ctx, adm); err != nil {
		return r, err
	}
	before, err := b.Usage()
	if err != nil {
		return r, err
	}
	r.rest = before.Anonymous
	if err := r.whileInUse(ctx, b, adm, s); err != nil {
		return r, err
	}
	after, err := b.Usage()
	if err != nil {
		return r, err
	}
	r.cpu = after.CPU - before.CPU
	r.left, err = s.check(ctx, b.Addr)
	return r, err
}

// whileInUse lets the log be compacted while it is written and read.
func (r *result) whileInUse(ctx context.Context, b *brokers.Broker, adm *kadm.Client, s *sent) error {
	using, stop := context.WithCancel(ctx)
	defer stop()
	g, using := errgroup.WithContext(using)
	g.Go(func() error { return s.write(using, b.Addr, 1<<30, goOn) })
	g.Go(func() error { return readAgain(using, b.Addr) })
	began := time.Now()
	err := lowerRatio(ctx, adm)
	if err == nil {
		err = r.awaitCompacted(using, b, adm)
	}
	r.took = time.Since(began) - r.quiet
	stop()
	if used := g.Wait(); err == nil || used != nil {
		return used
	}
	return err
}

func lowerRatio(ctx context.Context, adm *kadm.Client) error {
	answers, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "min.cleanable.dirty.ratio", Value: kadm.StringPtr("0.5")}}, topic)
	if err != nil {
		return err
	}
	return answers[0].Err
}

// awaitCompacted waits until the log is at most half as large as it was, and then
// until it has not shrunk for a while; that while does not count. It notes the most
// memory that the broker took.
func (r *result) awaitCompacted(ctx context.Context, b *brokers.Broker, adm *kadm.Client) error {
	const still = 3 * time.Second
	smallest, since := r.bytes, time.Now()
	for time.Since(since) < still || smallest > r.bytes/2 {
		now, err := size(ctx, adm)
		if err != nil {
			return fmt.Errorf("while the log is compacted: %w", err)
		}
		if now < smallest {
			smallest, since = now, time.Now()
		}
		used, err := b.Usage()
		if err != nil {
			return err
		}
		r.peak = max(r.peak, used.Anonymous)
		time.Sleep(20 * time.Millisecond)
	}
	r.quiet = time.Since(since)
	return nil
}

func size(ctx context.Context, adm *kadm.Client) (int64, error) {
	dirs, err := adm.DescribeAllLogDirs(ctx, kadm.TopicsSet{topic: {0: {}}})
	if err != nil {
		return 0, err
	}
	var total int64
	for _, broker := range dirs {
		broker.EachPartition(func(p kadm.DescribedLogDirPartition) { total += p.Size })
	}
	return total, nil
}

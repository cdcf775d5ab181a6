package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "compacted"

// load is what is written.
type load struct{ records, keys, valueBytes int }

// sent remembers the newest value of each key: a number that rises with each
// record, 0 for none. It belongs to one goroutine at a time.
type sent struct {
	load
	rng    *rand.Rand
	next   uint64
	newest []uint64
}

func newSent(l load) *sent {
	return &sent{load: l, rng: rand.New(rand.NewPCG(1, 2)), newest: make([]uint64, l.keys)}
}

// record is one of a random key. All go to one partition by one client, so their
// order in the log is that of the calls.
func (s *sent) record() *kgo.Record {
	key := s.rng.IntN(s.keys)
	s.next++
	s.newest[key] = s.next
	value := make([]byte, s.valueBytes)
	binary.BigEndian.PutUint64(value, s.next)
	for i := 8; i < len(value); i++ {
		value[i] = byte('a' + (i+key)%26)
	}
	return &kgo.Record{Key: binary.BigEndian.AppendUint64(nil, uint64(key)), Value: value}
}

func client(addr string, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
}

// write sends n records, each second at most perSecond of them, until ctx ends.
func (s *sent) write(ctx context.Context, addr string, n, perSecond int) error {
	cl, err := client(addr, kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(900_000), kgo.MaxBufferedRecords(200_000))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed atomic.Pointer[error]
	began := time.Now()
	for i := range n {
		if perSecond > 0 && i%100 == 0 {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		}
		if ctx.Err() != nil || failed.Load() != nil {
			break
		}
		// What was begun is finished: it may be in the log.
		cl.Produce(context.WithoutCancel(ctx), s.record(), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := cl.Flush(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}

// read reads the topic from its start to where it ends now. Offsets must rise.
func read(ctx context.Context, addr string, visit func(*kgo.Record)) error {
	cl, err := client(addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	end, _ := ends.Lookup(topic, 0)
	for last := int64(-1); last+1 < end.Offset; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			if r.Offset <= last {
				return fmt.Errorf("offset %d follows %d", r.Offset, last)
			}
			last = r.Offset
			visit(r)
		}
	}
	return nil
}

// check compares what is left with the map of what was sent, and returns how many
// records that is.
func (s *sent) check(ctx context.Context, addr string) (left int, err error) {
	found := make([]uint64, s.keys)
	err = read(ctx, addr, func(r *kgo.Record) {
		left++
		found[binary.BigEndian.Uint64(r.Key)] = binary.BigEndian.Uint64(r.Value)
	})
	if err != nil {
		return left, err
	}
	wrong := 0
	for key, want := range s.newest {
		if found[key] != want {
			wrong++
		}
	}
	if wrong > 0 {
		return left, fmt.Errorf("the newest value is wrong for %d of %d keys", wrong, s.keys)
	}
	return left, nil
}

// readAgain reads the topic again and again until ctx ends.
func readAgain(ctx context.Context, addr string) error {
	for ctx.Err() == nil {
		if err := read(ctx, addr, func(*kgo.Record) {}); err != nil && ctx.Err() == nil {
			return fmt.Errorf("read: %w", err)
		}
	}
	return nil
}

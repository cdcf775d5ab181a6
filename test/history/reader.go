package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol"
)

// NewReader returns a client that reads partitions from offset 0 on. An offset
// that the broker does not have is an error.
func NewReader(t testing.TB, seeds []string, from []protocol.TopicPartition, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	offsets := map[string]map[int32]kgo.Offset{}
	for _, tp := range from {
		if offsets[tp.Topic] == nil {
			offsets[tp.Topic] = map[int32]kgo.Offset{}
		}
		offsets[tp.Topic][tp.Partition] = kgo.NewOffset().At(0)
	}
	opts := Patience(seeds, kgo.ConsumePartitions(offsets), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(200*time.Millisecond))
	return NewClient(t, append(opts, more...))
}

// Read tells the checker all that a client reads until ctx ends. done, which may
// be nil, is asked after each poll whether that is enough.
func Read(ctx context.Context, cl *kgo.Client, name string, c *Checker, done func(protocol.TopicPartition, int64) bool) error {
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		if err := Refusal(fetches); err != nil {
			return fmt.Errorf("%s reads: %w", name, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			kr := it.Next()
			tp := protocol.TopicPartition{Topic: kr.Topic, Partition: kr.Partition}
			r, err := Decode(kr.Value)
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

// ReadAll reads partitions from their starts to their ends, after all else has
// come to rest.
func ReadAll(t testing.TB, seeds []string, c *Checker, targets []protocol.TopicPartition) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	left, err := ends(ctx, kadm.NewClient(NewClient(t, Patience(seeds))), targets)
	if err != nil {
		t.Fatal(err)
	}
	for tp, end := range left {
		c.Ended(tp, end)
		if end == 0 {
			delete(left, tp)
		}
	}
	if len(left) == 0 {
		return
	}
	err = Read(ctx, NewReader(t, seeds, targets), "the last reader", c, func(tp protocol.TopicPartition, offset int64) bool {
		if offset+1 == left[tp] {
			delete(left, tp)
		}
		return len(left) == 0
	})
	if err != nil || len(left) > 0 {
		t.Errorf("reading all again: %v; these were not read to their ends: %v", err, left)
	}
}

// ends are the ends of partitions.
func ends(ctx context.Context, admin *kadm.Client, targets []protocol.TopicPartition) (map[protocol.TopicPartition]int64, error) {
	topics := map[string]bool{}
	for _, tp := range targets {
		topics[tp.Topic] = true
	}
	listed, err := admin.ListEndOffsets(ctx, slices.Collect(maps.Keys(topics))...)
	if err != nil {
		return nil, fmt.Errorf("list the ends: %w", err)
	}
	found := map[protocol.TopicPartition]int64{}
	for _, tp := range targets {
		end, known := listed.Lookup(tp.Topic, tp.Partition)
		if !known || end.Err != nil {
			return nil, fmt.Errorf("list the end of %s: %w", tp, end.Err)
		}
		found[tp] = end.Offset
	}
	return found, nil
}

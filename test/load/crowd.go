package load

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/wire"
)

// A crowd is many partitions with data in them, for what a broker's restart
// costs: 2,000 in 20 topics, 20 of them with several segments.
const (
	CrowdTopics     = 20
	CrowdPartitions = 100 // of a topic
	crowdRolled     = 20  // partitions of the first topic that have several segments
)

func crowdTopic(n int) string { return fmt.Sprintf("crowd-%02d", n) }

// FillCrowd makes the topics and writes to each partition.
func FillCrowd(addr string) error {
	c, err := wire.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	batch := Batch(10, 1000)
	for n := range CrowdTopics {
		if err := CreateTopic(c, crowdTopic(n), CrowdPartitions, map[string]string{"segment.bytes": "1048576"}); err != nil {
			return err
		}
		if err := produce(c, Produce(crowdTopic(n), numbers(0, CrowdPartitions), batch)); err != nil {
			return err
		}
	}
	large := Batch(900, 1000)
	for range 4 {
		if err := produce(c, Produce(crowdTopic(0), numbers(0, crowdRolled), large)); err != nil {
			return err
		}
	}
	return nil
}

// numbers returns from, from+1 … before to.
func numbers(from, to int32) (list []int32) {
	for n := from; n < to; n++ {
		list = append(list, n)
	}
	return list
}

func produce(c *wire.Conn, req *kmsg.ProduceRequest) error {
	resp, err := c.RoundTrip(req)
	if err != nil {
		return err
	}
	return Produced(resp.(*kmsg.ProduceResponse))
}

// Restart is how long a crowd took to be served again, from a moment before the
// broker was started.
type Restart struct {
	Metadata time.Duration // until all topics were told
	Produced time.Duration // until a produce to each partition of a sample was acknowledged
}

// crowdSample are the partitions of each topic that are produced to.
var crowdSample = []int32{0, 19, 20, 50, 99}

// AwaitCrowd asks until the crowd is served. began is when its broker was started.
func AwaitCrowd(ctx context.Context, addr string, began time.Time) (r Restart, err error) {
	if err = insist(ctx, func() error { return crowdKnown(addr) }); err != nil {
		return r, fmt.Errorf("ask for the topics after a restart: %w", err)
	}
	r.Metadata = time.Since(began)
	batch := Batch(1, 100)
	for n := range CrowdTopics {
		if err = insist(ctx, func() error { return produceOnce(addr, Produce(crowdTopic(n), crowdSample, batch)) }); err != nil {
			return r, fmt.Errorf("produce after a restart: %w", err)
		}
	}
	r.Produced = time.Since(began)
	return r, nil
}

// insist tries until it works or ctx ends.
func insist(ctx context.Context, try func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// crowdKnown returns nil once every partition of the crowd has a leader.
func crowdKnown(addr string) error {
	c, err := wire.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range CrowdTopics {
		led, err := leaders(c, crowdTopic(n))
		if err != nil {
			return err
		}
		if led != CrowdPartitions {
			return fmt.Errorf("%d of %d partitions of %s have a leader", led, CrowdPartitions, crowdTopic(n))
		}
	}
	return nil
}

func produceOnce(addr string, req *kmsg.ProduceRequest) error {
	c, err := wire.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	return produce(c, req)
}

// Fill writes at least so many bytes of batches to each partition of a topic.
func Fill(addr, topic string, partitions int32, batch []byte, bytes int64) error {
	c, err := wire.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for written := int64(0); written < bytes; written += int64(len(batch)) {
		if err := produce(c, Produce(topic, numbers(0, partitions), batch)); err != nil {
			return err
		}
	}
	return nil
}

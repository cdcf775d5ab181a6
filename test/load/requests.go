package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/test/wire"
)

// Batch returns a batch of so many records with values of size bytes that no
// codec makes smaller, dated now.
func Batch(records, size int) record.Batch { return Encoded(records, size, compress.None) }

// Encoded is Batch in a codec.
func Encoded(records, size int, codec compress.Codec) record.Batch {
	value := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(records), uint64(size)))
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	b, now := record.NewBuilder(), time.Now().UnixMilli()
	b.Codec = codec
	for range records {
		b.Append(now, nil, value)
	}
	batch, err := b.Build(nil)
	if err != nil {
		panic(err) // no records, or 2 GiB of them
	}
	return batch
}

// Produce returns a request that appends the batch to each of the partitions,
// with acks=all.
func Produce(topic string, partitions []int32, batch record.Batch) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 30_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for _, partition := range partitions {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = partition, batch
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// Produced returns what the broker refused of a produce.
func Produced(resp *kmsg.ProduceResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("produce to %s-%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

// Fetch returns a request for at most maxBytes of a partition from offset on.
func Fetch(topic string, partition int32, offset int64, maxBytes int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 11, -1, 500, 1, maxBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, maxBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// CreateTopic makes a topic and waits until each of its partitions is served.
func CreateTopic(c *wire.Conn, topic string, partitions int32, configs map[string]string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 5, 30_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, partitions, 1
	for key, value := range configs {
		entry := kmsg.NewCreateTopicsRequestTopicConfig()
		entry.Name, entry.Value = key, &value
		t.Configs = append(t.Configs, entry)
	}
	req.Topics = append(req.Topics, t)
	resp, err := c.RoundTrip(req)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("create %s: %w", topic, err)
	}
	return awaitServed(c, topic, partitions)
}

// DeleteTopic deletes a topic.
func DeleteTopic(c *wire.Conn, topic string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, 30_000, []string{topic}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("delete %s: %w", topic, err)
	}
	return nil
}

// serveLimit bounds how long a new topic may be without a leader that knows it.
const serveLimit = 30 * time.Second

// awaitServed waits until every partition has a leader and that leader, which in
// Kafka may hear of it later than others, answers for it.
func awaitServed(c *wire.Conn, topic string, partitions int32) error {
	ctx, cancel := context.WithTimeout(context.Background(), serveLimit)
	defer cancel()
	return insist(ctx, func() error {
		led, err := leaders(c, topic)
		if err == nil && led != int(partitions) {
			err = fmt.Errorf("%d of %d partitions of %s have a leader", led, partitions, topic)
		}
		if err != nil {
			return err
		}
		return served(c, topic, partitions)
	})
}

// served returns why one of the partitions is not.
func served(c *wire.Conn, topic string, partitions int32) error {
	req := Fetch(topic, 0, 0, 1)
	req.MaxWaitMillis = 0
	t := &req.Topics[0]
	for p := int32(1); p < partitions; p++ {
		next := t.Partitions[0]
		next.Partition = p
		t.Partitions = append(t.Partitions, next)
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return err
	}
	for _, p := range resp.(*kmsg.FetchResponse).Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return fmt.Errorf("fetch %s-%d: %w", topic, p.Partition, err)
		}
	}
	return nil
}

// leaders counts the partitions that have one.
func leaders(c *wire.Conn, topic string) (n int, err error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 7
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	resp, err := c.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	for _, p := range resp.(*kmsg.MetadataResponse).Topics[0].Partitions {
		if p.ErrorCode == 0 && p.Leader >= 0 {
			n++
		}
	}
	return n, nil
}

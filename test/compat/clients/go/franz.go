package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var franzCodecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func franzProduce(ctx context.Context, j job) error {
	records, err := readRecords()
	if err != nil {
		return err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(j.bootstrap), kgo.DefaultProduceTopic(j.topic), kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchCompression(franzCodecs[j.text("codec")]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond),
	}
	if j.text("idempotent") != "true" {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed error
	for i, r := range records {
		cl.Produce(ctx, franzRecord(r), func(r *kgo.Record, err error) {
			if err != nil {
				failed = errors.Join(failed, err)
				return
			}
			emit(event{Event: "acked", Index: i, Offset: r.Offset, record: record{Partition: r.Partition}})
		})
	}
	return errors.Join(cl.Flush(ctx), failed)
}

func franzRecord(r record) *kgo.Record {
	k := &kgo.Record{Partition: r.Partition, Timestamp: time.UnixMilli(r.Timestamp), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return k
}

func franzEvent(r *kgo.Record) event {
	e := event{Event: "record", Offset: r.Offset, record: record{
		Partition: r.Partition, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value,
	}}
	for _, h := range r.Headers {
		e.Headers = append(e.Headers, header{h.Key, h.Value})
	}
	return e
}

func franzConsume(ctx context.Context, j job) error {
	start := kgo.NewOffset().AtStart()
	if j.text("from") == "time" {
		if err := franzOffsets(ctx, j); err != nil {
			return err
		}
		start = kgo.NewOffset().AfterMilli(j.number("time"))
	}
	opts := []kgo.Opt{kgo.SeedBrokers(j.bootstrap), kgo.ConsumeTopics(j.topic), kgo.ConsumeResetOffset(start)}
	if j.text("isolation") == "committed" {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for n := int64(0); n < j.number("count"); {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) { n++; emit(franzEvent(r)) })
	}
	return nil
}

// franzOffsets prints the offset that the time stands for in each partition.
func franzOffsets(ctx context.Context, j job) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(j.bootstrap))
	if err != nil {
		return err
	}
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).ListOffsetsAfterMilli(ctx, j.number("time"), j.topic)
	if err != nil {
		return err
	}
	offsets.Each(func(o kadm.ListedOffset) {
		emit(event{Event: "start", Offset: o.Offset, record: record{Partition: o.Partition}})
	})
	return offsets.Error()
}

func franzGroup(ctx context.Context, j job) error {
	say := func(what string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			emit(event{Event: what, Partitions: parts[j.topic]})
		}
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(j.bootstrap), kgo.ConsumeTopics(j.topic), kgo.ConsumerGroup(j.text("group")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(say("assigned")), kgo.OnPartitionsRevoked(say("revoked")), kgo.OnPartitionsLost(say("revoked")),
		kgo.HeartbeatInterval(500 * time.Millisecond),
	}
	if j.text("instance") != "" {
		opts = append(opts, kgo.InstanceID(j.text("instance")))
	}
	if j.text("strategy") != "cooperative" {
		opts = append(opts, kgo.Balancers(kgo.RangeBalancer()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	go func() { untilInputEnds(); stop() }()
	err = franzPoll(ctx, cl, j)
	cl.CloseAllowingRebalance() // leaves the group
	emit(event{Event: "left"})
	return err
}

// franzPoll prints and commits records until ctx ends or count are read.
func franzPoll(ctx context.Context, cl *kgo.Client, j job) error {
	count := j.number("count") // 0: no end
	for n := int64(0); count == 0 || n < count; {
		polled := cl.PollRecords(ctx, int(max(0, count-n)))
		if ctx.Err() != nil {
			return nil
		}
		if err := polled.Err(); err != nil {
			return err
		}
		polled.EachRecord(func(r *kgo.Record) { emit(franzEvent(r)) })
		if err := cl.CommitRecords(context.WithoutCancel(ctx), polled.Records()...); err != nil { // what was printed is committed
			return fmt.Errorf("commit: %w", err)
		}
		cl.AllowRebalance()
		n += int64(polled.NumRecords())
	}
	return nil
}

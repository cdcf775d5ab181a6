package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

var kafkagoCodecs = map[string]kafka.Compression{
	"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// place is what a message carries through the writer.
type place struct {
	index     int
	partition int
}

func kafkagoProduce(ctx context.Context, j job) error {
	records, err := readRecords()
	if err != nil {
		return err
	}
	w := &kafka.Writer{
		Addr: kafka.TCP(j.bootstrap), Topic: j.topic, RequiredAcks: kafka.RequireAll, AllowAutoTopicCreation: true,
		Compression: kafkagoCodecs[j.text("codec")], BatchTimeout: 5 * time.Millisecond,
		Balancer: kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return m.WriterData.(place).partition }),
		Completion: func(messages []kafka.Message, err error) {
			for _, m := range messages {
				if err == nil {
					emit(event{Event: "acked", Index: m.WriterData.(place).index, Offset: m.Offset, record: record{Partition: int32(m.Partition)}})
				}
			}
		},
	}
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafkagoMessage(i, r)
	}
	for {
		err := w.WriteMessages(ctx, messages...)
		if !errors.Is(err, kafka.UnknownTopicOrPartition) || ctx.Err() != nil { // else it is being made: the library leaves it to its user to try again
			return errors.Join(err, w.Close())
		}
	}
}

func kafkagoMessage(index int, r record) kafka.Message {
	m := kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp), WriterData: place{index, int(r.Partition)}}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return m
}

func kafkagoEvent(m kafka.Message) event {
	e := event{Event: "record", Offset: m.Offset, record: record{
		Partition: int32(m.Partition), Timestamp: m.Time.UnixMilli(), Key: m.Key, Value: m.Value,
	}}
	for _, h := range m.Headers {
		e.Headers = append(e.Headers, header{h.Key, h.Value})
	}
	return e
}

func kafkagoConsume(ctx context.Context, j job) error {
	conn, err := kafka.DialContext(ctx, "tcp", j.bootstrap)
	if err != nil {
		return err
	}
	defer conn.Close()
	partitions, err := conn.ReadPartitions(j.topic)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	messages := make(chan kafka.Message, 100)
	for _, p := range partitions {
		r := kafkagoReader(j, p.ID)
		if j.text("from") == "time" {
			if err := r.SetOffsetAt(ctx, time.UnixMilli(j.number("time"))); err != nil {
				return err
			}
			emit(event{Event: "start", Offset: r.Offset(), record: record{Partition: int32(p.ID)}})
		}
		go kafkagoRead(ctx, r, messages)
	}
	for n := int64(0); n < j.number("count"); n++ {
		select {
		case m := <-messages:
			emit(kafkagoEvent(m))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func kafkagoReader(j job, partition int) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{j.bootstrap}, Topic: j.topic, Partition: partition, MaxWait: 200 * time.Millisecond,
	})
}

// kafkagoRead reads into messages until ctx ends.
func kafkagoRead(ctx context.Context, r *kafka.Reader, messages chan<- kafka.Message) {
	defer r.Close()
	for {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return
		}
	}
}

// kafkagoGroup takes the reader, which most programs use, where a count is
// asked for, and else the group below it, which says what it is assigned.
func kafkagoGroup(ctx context.Context, j job) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { untilInputEnds(); stop() }()
	if j.number("count") > 0 {
		return kafkagoGroupReader(ctx, j)
	}
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: j.text("group"), Brokers: []string{j.bootstrap}, Topics: []string{j.topic},
		StartOffset: kafka.FirstOffset, HeartbeatInterval: 500 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		gen, err := g.Next(ctx)
		var refused kafka.Error
		switch {
		case err == nil:
			kafkagoGeneration(gen, j)
		case errors.As(err, &refused): // another rebalance came first; the library's reader asks again too
		case !errors.Is(err, context.Canceled):
			return err
		}
	}
	err = g.Close()
	emit(event{Event: "left"})
	return err
}

// kafkagoGeneration reads what one generation of the group gives this member.
// The group joins again only when all that was started here has returned.
func kafkagoGeneration(gen *kafka.Generation, j job) {
	var owned []int32
	var reading sync.WaitGroup
	for _, a := range gen.Assignments[j.topic] {
		owned = append(owned, int32(a.ID))
	}
	emit(event{Event: "assigned", Partitions: owned})
	for _, a := range gen.Assignments[j.topic] {
		reading.Add(1)
		gen.Start(func(ctx context.Context) {
			defer reading.Done()
			kafkagoReadAssigned(ctx, gen, j, a)
		})
	}
	gen.Start(func(ctx context.Context) {
		<-ctx.Done()
		reading.Wait()
		emit(event{Event: "revoked", Partitions: owned})
	})
}

func kafkagoReadAssigned(ctx context.Context, gen *kafka.Generation, j job, a kafka.PartitionAssignment) {
	r := kafkagoReader(j, a.ID)
	defer r.Close()
	_ = r.SetOffset(a.Offset) // fails only for a reader of a group
	for {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return
		}
		emit(kafkagoEvent(m))
		_ = gen.CommitOffsets(map[string]map[int]int64{j.topic: {a.ID: m.Offset + 1}}) // else the next member reads it again
	}
}

func kafkagoGroupReader(ctx context.Context, j job) error {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{j.bootstrap}, Topic: j.topic, GroupID: j.text("group"),
		StartOffset: kafka.FirstOffset, MaxWait: 200 * time.Millisecond,
	})
	for n := int64(0); n < j.number("count"); n++ {
		m, err := r.FetchMessage(ctx)
		if err == io.EOF || errors.Is(err, context.Canceled) {
			break
		}
		if err != nil {
			return err
		}
		emit(kafkagoEvent(m))
		if err := r.CommitMessages(ctx, m); err != nil {
			return err
		}
	}
	err := r.Close()
	emit(event{Event: "left"})
	return err
}

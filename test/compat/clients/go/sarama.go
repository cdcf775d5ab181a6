package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func saramaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "sarama"
	c.Version = sarama.MaxVersion
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond // a commit waits behind the fetch on its connection
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	return c
}

func saramaProduce(_ context.Context, j job) error {
	records, err := readRecords()
	if err != nil {
		return err
	}
	c := saramaConfig()
	c.Producer.Compression = saramaCodecs[j.text("codec")]
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Producer.Flush.Frequency = 5 * time.Millisecond
	if j.text("idempotent") == "true" {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	p, err := sarama.NewAsyncProducer([]string{j.bootstrap}, c)
	if err != nil {
		return err
	}
	go func() {
		for i, r := range records {
			p.Input() <- saramaMessage(j.topic, i, r)
		}
		p.AsyncClose()
	}()
	return saramaAcks(p)
}

// saramaAcks prints what was acknowledged until the producer is closed.
func saramaAcks(p sarama.AsyncProducer) error {
	failed := make(chan error, 1)
	go func() {
		var all error
		for e := range p.Errors() {
			all = errors.Join(all, e.Err)
		}
		failed <- all
	}()
	for m := range p.Successes() {
		emit(event{Event: "acked", Index: m.Metadata.(int), Offset: m.Offset, record: record{Partition: m.Partition}})
	}
	return <-failed
}

func saramaMessage(topic string, index int, r record) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: topic, Partition: r.Partition, Timestamp: time.UnixMilli(r.Timestamp), Metadata: index}
	if r.Key != nil {
		m.Key = sarama.ByteEncoder(r.Key)
	}
	if r.Value != nil {
		m.Value = sarama.ByteEncoder(r.Value)
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

func saramaEvent(m *sarama.ConsumerMessage) event {
	e := event{Event: "record", Offset: m.Offset, record: record{
		Partition: m.Partition, Timestamp: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value,
	}}
	for _, h := range m.Headers {
		e.Headers = append(e.Headers, header{string(h.Key), h.Value})
	}
	return e
}

func saramaConsume(ctx context.Context, j job) error {
	cl, err := sarama.NewClient([]string{j.bootstrap}, saramaConfig())
	if err != nil {
		return err
	}
	defer cl.Close()
	consumer, err := sarama.NewConsumerFromClient(cl)
	if err != nil {
		return err
	}
	messages := make(chan *sarama.ConsumerMessage, 100)
	if err := saramaRead(ctx, cl, consumer, j, messages); err != nil {
		return err
	}
	for n := int64(0); n < j.number("count"); n++ {
		select {
		case m := <-messages:
			emit(saramaEvent(m))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// saramaRead starts to read each partition into messages.
func saramaRead(ctx context.Context, cl sarama.Client, consumer sarama.Consumer, j job, messages chan<- *sarama.ConsumerMessage) error {
	partitions, err := cl.Partitions(j.topic)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		start := sarama.OffsetOldest
		if j.text("from") == "time" {
			if start, err = cl.GetOffset(j.topic, p, j.number("time")); err != nil {
				return err
			}
			emit(event{Event: "start", Offset: start, record: record{Partition: p}})
		}
		pc, err := consumer.ConsumePartition(j.topic, p, start)
		if err != nil {
			return err
		}
		go func() {
			for m := range pc.Messages() {
				select {
				case messages <- m:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	return nil
}

func saramaGroup(ctx context.Context, j job) error {
	c := saramaConfig()
	c.Consumer.Group.InstanceId = j.text("instance")
	g, err := sarama.NewConsumerGroup([]string{j.bootstrap}, j.text("group"), c)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	go func() { untilInputEnds(); stop() }()
	h := &saramaMember{left: make(chan struct{}, max(0, j.number("count"))), stop: stop}
	for range j.number("count") {
		h.left <- struct{}{}
	}
	for ctx.Err() == nil && err == nil {
		err = g.Consume(ctx, []string{j.topic}, h)
	}
	err = errors.Join(err, g.Close())
	emit(event{Event: "left"})
	return err
}

// saramaMember is one member of a group. Where a count was asked for, left
// holds one token for each record that it may still read.
type saramaMember struct {
	left chan struct{}
	stop func()
}

func (m *saramaMember) Setup(s sarama.ConsumerGroupSession) error   { return m.say(s, "assigned") }
func (m *saramaMember) Cleanup(s sarama.ConsumerGroupSession) error { return m.say(s, "revoked") }

func (m *saramaMember) say(s sarama.ConsumerGroupSession, what string) error {
	for _, partitions := range s.Claims() {
		emit(event{Event: what, Partitions: partitions})
	}
	return nil
}

func (m *saramaMember) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open || !m.take(s, message) {
				return nil
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

// take prints and marks one message, unless the count is reached.
func (m *saramaMember) take(s sarama.ConsumerGroupSession, message *sarama.ConsumerMessage) bool {
	if cap(m.left) > 0 {
		select {
		case <-m.left:
		default:
			return false
		}
	}
	emit(saramaEvent(message))
	s.MarkMessage(message, "")
	if cap(m.left) > 0 && len(m.left) == 0 {
		m.stop()
	}
	return true
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// copyBatch is how many records a transaction of the copy verb has at most.
const copyBatch = 10

// franzCopy copies records in transactions, with the offsets in them.
func franzCopy(ctx context.Context, j job) error {
	s, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(j.bootstrap), kgo.TransactionalID(j.text("id")), kgo.ConsumerGroup(j.text("group")), kgo.ConsumeTopics(j.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
		kgo.DefaultProduceTopic(j.text("to")), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.HeartbeatInterval(500*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer s.Close()
	for n, aborted := int64(0), false; n < j.number("count"); aborted = !aborted {
		polled := s.PollRecords(ctx, copyBatch)
		if err := polled.Err(); err != nil {
			return err
		}
		committed, err := franzTransaction(ctx, s, polled.Records(), kgo.TransactionEndTry(aborted)) // first it aborts
		if err != nil {
			return err
		}
		if committed {
			n += int64(polled.NumRecords())
			emit(event{Event: "copied", Index: polled.NumRecords()})
		}
	}
	emit(event{Event: "left"})
	return nil
}

// franzTransaction writes records again. What is aborted, the session reads again.
func franzTransaction(ctx context.Context, s *kgo.GroupTransactSession, records []*kgo.Record, end kgo.TransactionEndTry) (bool, error) {
	if err := s.Begin(); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	var again []*kgo.Record
	for _, r := range records {
		again = append(again, &kgo.Record{Partition: r.Partition, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
	if err := s.ProduceSync(ctx, again...).FirstErr(); err != nil {
		return false, fmt.Errorf("write: %w", err)
	}
	return s.End(ctx, end)
}

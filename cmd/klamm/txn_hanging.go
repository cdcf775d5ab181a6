package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// hangingTxn is a transaction that is open in a partition and that no coordinator
// will end.
type hangingTxn struct {
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	ProducerID    int64  `json:"producer_id"`
	ProducerEpoch int16  `json:"producer_epoch"`
	StartOffset   int64  `json:"start_offset"`
	LastWritten   string `json:"last_written"` // by the producer into the partition
	Cause         string `json:"cause"`

	coordinatorEpoch int32
}

// openTxn is a transaction as a partition sees it.
type openTxn struct {
	topicPartition
	producer int64
	start    int64
}

// findHanging compares what the partitions of topics have open with what the
// coordinators know. A partition leaves its transaction only when the marker is in
// it, and joins before the first record: so what is open before and after the
// coordinators were asked, and is unknown to them, will not end.
func findHanging(ctx context.Context, admin *kadm.Client, topics []string) ([]hangingTxn, error) {
	before, err := openTransactions(ctx, admin, topics)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	known, err := transactionsOf(ctx, admin, before)
	if err != nil {
		return nil, err
	}
	after, err := openTransactions(ctx, admin, topics)
	if err != nil {
		return nil, err
	}
	var hanging []hangingTxn
	for open, p := range after {
		if _, still := before[open]; !still {
			continue
		}
		if cause := causeOf(p, known[p.ProducerID]); cause != "" {
			hanging = append(hanging, hangingTxn{
				p.Topic, p.Partition, p.ProducerID, p.ProducerEpoch, p.CurrentTxnStartOffset, timeText(p.LastTimestamp), cause, p.CoordinatorEpoch,
			})
		}
	}
	slices.SortFunc(hanging, func(a, b hangingTxn) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.StartOffset, b.StartOffset))
	})
	return hanging, nil
}

// openTransactions are those that are open in the partitions of topics, or of all
// where none is named.
func openTransactions(ctx context.Context, admin *kadm.Client, topics []string) (map[openTxn]kadm.DescribedProducer, error) {
	var details kadm.TopicDetails
	var err error
	if len(topics) > 0 {
		details, err = describeTopics(ctx, admin, topics...)
	} else if details, err = admin.ListTopicsWithInternal(ctx); err != nil {
		err = fmt.Errorf("list topics: %s", reason(err, ""))
	}
	if err != nil {
		return nil, err
	}
	described, err := admin.DescribeProducers(ctx, details.TopicsSet())
	if err != nil {
		return nil, fmt.Errorf("describe producers: %s", reason(err, ""))
	}
	open := map[openTxn]kadm.DescribedProducer{}
	for _, p := range described.SortedPartitions() {
		if p.Err != nil {
			return nil, fmt.Errorf("describe the producers of %s-%d: %s", p.Topic, p.Partition, reason(p.Err, p.ErrMessage))
		}
		for _, d := range p.ActiveProducers {
			if d.CurrentTxnStartOffset >= 0 {
				open[openTxn{topicPartition{Topic: d.Topic, Partition: d.Partition}, d.ProducerID, d.CurrentTxnStartOffset}] = d
			}
		}
	}
	return open, nil
}

// transactionsOf asks the coordinators for the transactions of the producers.
func transactionsOf(ctx context.Context, admin *kadm.Client, open map[openTxn]kadm.DescribedProducer) (map[int64]kadm.DescribedTransaction, error) {
	var producers []int64
	for o := range open {
		producers = append(producers, o.producer)
	}
	listed, err := admin.ListTransactions(ctx, producers, nil)
	if err != nil {
		return nil, fmt.Errorf("list transactions: %s", reason(err, ""))
	}
	known := map[int64]kadm.DescribedTransaction{}
	if len(listed) == 0 { // none would mean all
		return known, nil
	}
	described, err := admin.DescribeTransactions(ctx, listed.TransactionalIDs()...)
	if err != nil {
		return nil, fmt.Errorf("describe transactions: %s", reason(err, ""))
	}
	for _, d := range described {
		if d.Err == nil {
			known[d.ProducerID] = d
		}
	}
	return known, nil
}

// causeOf says why nobody will end what p has open, empty where somebody will.
func causeOf(p kadm.DescribedProducer, txn kadm.DescribedTransaction) string {
	switch {
	case txn.TxnID == "":
		return "no transactional id has this producer"
	case txn.Topics.Lookup(p.Topic, p.Partition):
		return ""
	case txn.State == "Ongoing":
		return fmt.Sprintf("the transaction of %s is without the partition", txn.TxnID)
	}
	return fmt.Sprintf("%s has no transaction: it is %s", txn.TxnID, txn.State)
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// describedTxn is one transactional id of `klamm txn describe`.
type describedTxn struct {
	TransactionalID string         `json:"transactional_id"`
	State           string         `json:"state"`
	Coordinator     int32          `json:"coordinator"`
	ProducerID      int64          `json:"producer_id"`
	ProducerEpoch   int16          `json:"producer_epoch"`
	TimeoutMs       int32          `json:"timeout_ms"`
	Started         string         `json:"started"` // empty where no transaction has begun
	Partitions      []txnPartition `json:"partitions"`
}

// txnPartition is a partition of an open transaction.
type txnPartition struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	StartOffset *int64 `json:"start_offset"` // null: nothing is written there yet, or its marker is
}

func newTxnDescribeCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "describe TRANSACTIONAL-ID…",
		Short:             "Show the producers, states and partitions of transactions",
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeTransactions(-1),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			all := []describedTxn{}
			for _, id := range ids {
				d, err := describeTxn(cmd.Context(), admin, id)
				if err != nil {
					return err
				}
				shown, err := withStarts(cmd.Context(), admin, d)
				if err != nil {
					return err
				}
				all = append(all, shown)
			}
			if *output == "table" {
				return env.showDescribedTxns(all)
			}
			return env.show(*output, nil, all)
		})
	}
	return cmd
}

func describeTxn(ctx context.Context, admin *kadm.Client, id string) (kadm.DescribedTransaction, error) {
	described, err := admin.DescribeTransactions(ctx, id)
	if err != nil {
		return kadm.DescribedTransaction{}, fmt.Errorf("describe transaction %s: %s", id, reason(err, ""))
	}
	d := described[id]
	switch {
	case errors.Is(d.Err, kerr.TransactionalIDNotFound):
		return d, unknownTransaction(ctx, admin, id)
	case d.Err != nil:
		return d, fmt.Errorf("describe transaction %s: %s", id, reason(d.Err, ""))
	}
	return d, nil
}

// withStarts adds where the transaction begins in each of its partitions.
func withStarts(ctx context.Context, admin *kadm.Client, d kadm.DescribedTransaction) (describedTxn, error) {
	shown := describedTxn{
		TransactionalID: d.TxnID, State: d.State, Coordinator: d.Coordinator, ProducerID: d.ProducerID, ProducerEpoch: d.ProducerEpoch,
		TimeoutMs: d.TimeoutMillis, Started: timeText(d.StartTimestamp), Partitions: []txnPartition{},
	}
	if len(d.Topics) == 0 {
		return shown, nil
	}
	producers, err := admin.DescribeProducers(ctx, d.Topics)
	if err != nil {
		return shown, fmt.Errorf("describe producers: %s", reason(err, ""))
	}
	for _, t := range d.Topics.Sorted() {
		for _, p := range t.Partitions {
			row := txnPartition{Topic: t.Topic, Partition: p}
			if a, found := producers[t.Topic].Partitions[p].ActiveProducers[d.ProducerID]; found && a.CurrentTxnStartOffset >= 0 {
				row.StartOffset = &a.CurrentTxnStartOffset
			}
			shown.Partitions = append(shown.Partitions, row)
		}
	}
	return shown, nil
}

// showDescribedTxns prints a line for each transactional id, and a table of its
// partitions.
func (e *environment) showDescribedTxns(all []describedTxn) error {
	for i, d := range all {
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		fmt.Fprintf(e.out, "TRANSACTIONAL-ID %s  STATE %s  COORDINATOR %d  PRODUCER-ID %d  EPOCH %d  TIMEOUT-MS %d  STARTED %s\n",
			d.TransactionalID, d.State, d.Coordinator, d.ProducerID, d.ProducerEpoch, d.TimeoutMs, cellText(d.Started))
		if len(d.Partitions) == 0 {
			continue
		}
		t := newTable("TOPIC", "PARTITION", "START-OFFSET")
		for _, p := range d.Partitions {
			t.add(p.Topic, p.Partition, p.StartOffset)
		}
		if err := t.write(e.out); err != nil {
			return err
		}
	}
	return nil
}

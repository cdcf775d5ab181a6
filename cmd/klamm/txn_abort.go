package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newTxnAbortCommand(env *environment) *cobra.Command {
	var topics []string
	var producers []int64
	var hanging bool
	cmd := &cobra.Command{
		Use:   "abort [TRANSACTIONAL-ID…]",
		Short: "Abort open transactions, or those that hang",
		Long: `Abort the open transactions of transactional ids. Their producers are fenced:
what they send from now on is refused.

With --hanging, write abort markers for the transactions that "klamm txn list
--hanging" shows, into the partitions where they are open.`,
		Example: `  klamm txn abort billing-1
  klamm txn abort --hanging --topic flights --producer 4711`,
		Args:              arguments(0, -1),
		ValidArgsFunction: env.completeTransactions(-1),
	}
	cmd.Flags().BoolVar(&hanging, "hanging", false, "those that nobody will end")
	cmd.Flags().StringArrayVarP(&topics, "topic", "t", nil, "with --hanging: only in this `TOPIC`; may be repeated")
	cmd.Flags().Int64SliceVar(&producers, "producer", nil, "with --hanging: only of this producer `ID`; may be repeated")
	must(cmd.RegisterFlagCompletionFunc("topic", env.completeTopics(-1)))
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		switch {
		case hanging == (len(ids) > 0):
			return badUsage(cmd, "name transactional ids, or pass --hanging")
		case !hanging && len(topics)+len(producers) > 0:
			return badUsage(cmd, "--topic and --producer go with --hanging")
		}
		client, err := env.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		if hanging {
			return env.abortHanging(cmd.Context(), kadm.NewClient(client), topics, producers)
		}
		var failed failures
		for _, id := range ids {
			if err := env.abortOpen(cmd.Context(), client, id); err != nil {
				failed.add("%w", err)
			}
		}
		return failed.err()
	}
	return cmd
}

// abortOpen takes a transactional id away from its producer, which aborts what that
// has open.
func (e *environment) abortOpen(ctx context.Context, client *kgo.Client, id string) error {
	d, err := describeTxn(ctx, kadm.NewClient(client), id)
	switch {
	case err != nil:
		return err
	case d.State != "Ongoing":
		return fmt.Errorf("%s has no open transaction: it is %s", id, d.State)
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &id, d.TimeoutMillis, -1, -1
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	for {
		resp, err := req.RequestWith(ctx, client)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		switch {
		case err == nil:
			fmt.Fprintf(e.out, "transaction of %s aborted, producer %d fenced\n", id, d.ProducerID)
			return nil
		case !errors.Is(err, kerr.ConcurrentTransactions):
			return fmt.Errorf("abort the transaction of %s: %s", id, reason(err, ""))
		}
		select { // until its markers are written
		case <-ctx.Done():
			return fmt.Errorf("abort the transaction of %s: %s", id, reason(ctx.Err(), ""))
		case <-time.After(retryAbort):
		}
	}
}

// retryAbort is how long to wait until a transaction that is being aborted is
// looked at again.
const retryAbort = 50 * time.Millisecond

func (e *environment) abortHanging(ctx context.Context, admin *kadm.Client, topics []string, producers []int64) error {
	found, err := findHanging(ctx, admin, topics)
	if err != nil {
		return err
	}
	var failed failures
	for _, h := range found {
		if len(producers) > 0 && !slices.Contains(producers, h.ProducerID) {
			continue
		}
		if err := writeAbort(ctx, admin, h); err != nil {
			failed.add("abort the transaction of producer %d in %s-%d: %s", h.ProducerID, h.Topic, h.Partition, reason(err, ""))
			continue
		}
		fmt.Fprintf(e.out, "transaction of producer %d in %s-%d aborted, it began at offset %d\n", h.ProducerID, h.Topic, h.Partition, h.StartOffset)
	}
	return failed.err()
}

// writeAbort writes the marker that is missing.
func writeAbort(ctx context.Context, admin *kadm.Client, h hangingTxn) error {
	where := kadm.TopicsSet{}
	where.Add(h.Topic, h.Partition)
	answers, err := admin.WriteTxnMarkers(ctx, kadm.TxnMarkers{
		ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch, CoordinatorEpoch: max(0, h.coordinatorEpoch), Topics: where,
	})
	if err != nil {
		return err
	}
	for _, answer := range answers.SortedPartitions() {
		err = errors.Join(err, answer.Err)
	}
	return err
}

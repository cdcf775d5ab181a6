package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// listedTxn is one transactional id of `klamm txn list`.
type listedTxn struct {
	TransactionalID string `json:"transactional_id"`
	Coordinator     int32  `json:"coordinator"`
	ProducerID      int64  `json:"producer_id"`
	State           string `json:"state"`
}

// txnStates are the states that a transactional id may be in.
var txnStates = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"}

func newTxnListCommand(env *environment) *cobra.Command {
	var states, topics []string
	var hanging bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List transactional ids, or transactions that hang",
		Long: `List transactional ids and the state of their transactions.

With --hanging, list the transactions that are open in a partition and that no
coordinator will end, with the cause: readers of committed records get nothing
of the partition beyond their start. See "klamm txn abort --hanging".`,
		Example: `  klamm txn list --state Ongoing
  klamm txn list --hanging`,
		Args: arguments(0, 0),
	}
	cmd.Flags().StringSliceVarP(&states, "state", "s", nil, "only those in this `STATE`; may be repeated")
	cmd.Flags().BoolVar(&hanging, "hanging", false, "transactions that nobody will end")
	cmd.Flags().StringArrayVarP(&topics, "topic", "t", nil, "with --hanging: only in this `TOPIC`; may be repeated")
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(txnStates, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("topic", env.completeTopics(-1)))
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case hanging && len(states) > 0:
			return badUsage(cmd, "pass either --hanging or --state")
		case !hanging && len(topics) > 0:
			return badUsage(cmd, "--topic goes with --hanging")
		}
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			if hanging {
				found, err := findHanging(cmd.Context(), admin, topics)
				if err != nil {
					return err
				}
				return env.showHanging(*output, found)
			}
			listed, err := admin.ListTransactions(cmd.Context(), nil, states)
			if err != nil {
				return fmt.Errorf("list transactions: %s", reason(err, ""))
			}
			return env.showTxns(*output, listed)
		})
	}
	return cmd
}

func (e *environment) showTxns(output outputFormat, listed kadm.ListedTransactions) error {
	all, t := []listedTxn{}, newTable("TRANSACTIONAL-ID", "COORDINATOR", "PRODUCER-ID", "STATE")
	for _, l := range listed.Sorted() {
		all = append(all, listedTxn{l.TxnID, l.Coordinator, l.ProducerID, l.State})
		t.add(l.TxnID, l.Coordinator, l.ProducerID, l.State)
	}
	return e.show(output, t, all)
}

func (e *environment) showHanging(output outputFormat, found []hangingTxn) error {
	t := newTable("TOPIC", "PARTITION", "PRODUCER-ID", "EPOCH", "START-OFFSET", "LAST-WRITTEN", "CAUSE")
	for _, h := range found {
		t.add(h.Topic, h.Partition, h.ProducerID, h.ProducerEpoch, h.StartOffset, h.LastWritten, h.Cause)
	}
	if found == nil {
		found = []hangingTxn{}
	}
	return e.show(output, t, found)
}

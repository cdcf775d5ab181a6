package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTxnCommand(env *environment) *cobra.Command {
	return parentCommand("txn", "List, describe and abort transactions",
		newTxnListCommand(env),
		newTxnDescribeCommand(env),
		newTxnAbortCommand(env),
	)
}

// completeTransactions offers transactional ids.
func (e *environment) completeTransactions(most int) completion {
	return e.completeNames(most, transactionalIDs)
}

func transactionalIDs(ctx context.Context, admin *kadm.Client) ([]string, error) {
	listed, err := admin.ListTransactions(ctx, nil, nil)
	if err != nil {
		return nil, err
	}
	return listed.TransactionalIDs(), nil
}

// unknownTransaction says that nobody has a transactional id, and what may have
// been meant.
func unknownTransaction(ctx context.Context, admin *kadm.Client, id string) error {
	ids, err := transactionalIDs(ctx, admin)
	if err != nil {
		ids = nil
	}
	return fmt.Errorf("transactional id %s is not known.%s See `klamm txn list`", id, didYouMean(id, ids))
}

// timeText is a time in milliseconds for people and programs, empty for none.
func timeText(ms int64) string {
	if ms < 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

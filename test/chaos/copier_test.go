//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The topics of a copier, and the group and transactional id that it goes by in
// every life.
const (
	copyFrom   = "flights"
	copyTo     = "copied"
	copierName = "copier"
)

// copierEnv makes this test program a copier of the broker that it names, instead
// of running tests: a process of its own that can be killed.
const copierEnv = "CHAOS_COPIER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(copierEnv); addr != "" {
		if err := copyForEver(addr); err != nil {
			fmt.Fprintln(os.Stderr, "the copier:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// copyForEver copies every record of one topic into another, exactly once: what it
// writes and how far it has read are one transaction.
func copyForEver(addr string) error {
	s, err := kgo.NewGroupTransactSession(patience(addr,
		kgo.TransactionalID(copierName), kgo.ConsumerGroup(copierName), kgo.InstanceID(copierName), kgo.ConsumeTopics(copyFrom),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.HeartbeatInterval(200*time.Millisecond), kgo.DefaultProduceTopic(copyTo),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(30*time.Second),
	)...)
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		if err := copyOnce(s); err != nil {
			return err
		}
	}
}

// copyBatch is how many records one transaction has at most: so many transactions
// that a kill finds one at any of its steps.
const copyBatch = 500

func copyOnce(s *kgo.GroupTransactSession) error {
	ctx := context.Background()
	fetches := s.PollRecords(ctx, copyBatch)
	if err := refusal(fetches); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if fetches.NumRecords() == 0 {
		return nil
	}
	if err := s.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	failed := kgo.AbortingFirstErrPromise(s.Client())
	for it := fetches.RecordIter(); !it.Done(); {
		r := it.Next()
		s.Produce(ctx, &kgo.Record{Partition: r.Partition, Key: fmt.Appendf(nil, "%d %d", r.Partition, r.Offset), Value: r.Value}, failed.Promise())
	}
	commit := failed.Err() == nil
	_, err := s.End(ctx, kgo.TransactionEndTry(commit))
	if errors.Is(err, kgo.ErrClientClosed) {
		return err
	}
	return nil // what was not committed is read and copied again
}

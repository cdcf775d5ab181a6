package copier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/history"
)

// The topics of a copier, and the group and transactional id that it goes by in
// every life.
const (
	From = "flights"
	To   = "copied"
	Name = "copier"
)

// environment makes a test program a copier of the brokers that it names, instead
// of running tests: a process of its own that can be killed.
const environment = "KLAMM_COPIER"

// Main runs the tests, or is a copier where this process was started as one: a
// package that uses New hands its TestMain's m to it.
func Main(m *testing.M) {
	if seeds := os.Getenv(environment); seeds != "" {
		if err := copyForEver(strings.Split(seeds, ",")); err != nil {
			fmt.Fprintln(os.Stderr, "the copier:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// copyForEver copies every record of one topic into another, exactly once: what it
// writes and how far it has read are one transaction.
func copyForEver(seeds []string) error {
	s, err := kgo.NewGroupTransactSession(history.Patience(seeds,
		kgo.TransactionalID(Name), kgo.ConsumerGroup(Name), kgo.InstanceID(Name), kgo.ConsumeTopics(From),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.HeartbeatInterval(200*time.Millisecond), kgo.DefaultProduceTopic(To),
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
	if err := history.Refusal(fetches); err != nil {
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
	for deadline := time.Now().Add(endLimit); err != nil && !errors.Is(err, kgo.ErrClientClosed) && time.Now().Before(deadline); {
		_, err = s.End(ctx, kgo.TryAbort) // nobody listened: the client is still in its transaction
	}
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return nil // what was not committed is read and copied again
}

// endLimit bounds how long it may take to find somebody who ends a transaction.
const endLimit = time.Minute

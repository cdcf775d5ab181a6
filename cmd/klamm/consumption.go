package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// pollTimeout is how often the ends are looked at while nothing comes.
	pollTimeout = 200 * time.Millisecond
	// commitTimeout bounds how long the last commit may take.
	commitTimeout = 10 * time.Second
)

// consumption reads records and prints them. Reading and printing is one
// goroutine; the group's callbacks come on the client's, but never while a
// batch is being printed (BlockRebalanceOnPoll).
type consumption struct {
	env       *environment
	client    *kgo.Client
	options   *consumeOptions
	print     printer
	starts    map[topicPartition]int64 // where partitions begin that have no committed offset
	positions *positions

	printed int64
	passing error  // the last error of a partition that was told and may pass
	text    []byte // scratch
}

// run returns when count or end is reached, or when ctx ends, which is the
// usual way to stop and no failure. What was printed is committed.
func (c *consumption) run(ctx context.Context) error {
	err := c.readAll(ctx)
	if c.options.group == "" {
		return err
	}
	committing, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if commitErr := c.client.CommitMarkedOffsets(committing); commitErr != nil {
		return errors.Join(err, fmt.Errorf("commit offsets of group %s: %s", c.options.group, reason(commitErr, "")))
	}
	return err
}

func (c *consumption) readAll(ctx context.Context) error {
	for ctx.Err() == nil && !c.finished() {
		polling, cancel := context.WithTimeout(ctx, pollTimeout)
		fetches := c.client.PollRecords(polling, c.wanted())
		cancel()
		if err := c.show(fetches.Records()); err != nil {
			return err
		}
		if err := c.check(fetches); err != nil {
			return err
		}
		c.client.AllowRebalance()
	}
	return nil
}

func (c *consumption) finished() bool {
	return c.options.count > 0 && c.printed >= c.options.count ||
		c.options.exitAtEnd && c.positions.done()
}

// wanted is how many records may come at once.
func (c *consumption) wanted() int {
	const atOnce = 10_000
	if c.options.count > 0 {
		return int(min(c.options.count-c.printed, atOnce))
	}
	return atOnce
}

// show prints records in one write, and marks them as done.
func (c *consumption) show(records []*kgo.Record) error {
	c.text = c.text[:0]
	var shown []*kgo.Record
	for _, r := range records {
		tp := topicPartition{Topic: r.Topic, Partition: r.Partition}
		c.positions.advance(tp, r.Offset+1)
		if c.options.exitAtEnd && c.positions.beyond(tp, r.Offset) {
			continue
		}
		shown = append(shown, r)
		if !r.Attrs.IsControl() {
			c.text = c.print(c.text, r)
			c.printed++
		}
	}
	if _, err := c.env.out.Write(c.text); err != nil {
		return fmt.Errorf("print records: %w", err)
	}
	c.client.MarkCommitRecords(shown...)
	return nil
}

// check tells errors that end the reading from those that pass.
func (c *consumption) check(fetches kgo.Fetches) error {
	for _, fetch := range fetches.Errors() {
		var lost *kgo.ErrDataLoss
		switch err := fetch.Err; {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.As(err, &lost), rejoins(err):
			c.env.note("klamm: %v; going on", err)
		case errors.Is(err, kerr.CorruptMessage):
			at := c.positions.behind()[topicPartition{Topic: fetch.Topic, Partition: fetch.Partition}]
			return fmt.Errorf("consume %s-%d: what it holds at offset %d is damaged. See `klamm log verify` for how far, and go on behind it with --partition and --from",
				fetch.Topic, fetch.Partition, at)
		case kerr.IsRetriable(err): // as while a partition moves: the client looks for it, and tells of brokers that do not answer
			if !errors.Is(err, c.passing) {
				c.passing = err
				c.env.note("klamm: %s-%d: %s; trying again", fetch.Topic, fetch.Partition, reason(err, ""))
			}
		case fetch.Topic == "":
			return fmt.Errorf("consume: %s", reason(err, ""))
		default:
			return fmt.Errorf("consume %s-%d: %s", fetch.Topic, fetch.Partition, reason(err, ""))
		}
	}
	return nil
}

// rejoins says whether the client joins the group again by itself: it was away
// too long, or the group changed meanwhile.
func rejoins(err error) bool {
	for _, passing := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// assigned is called with the partitions that this member now reads and their
// committed offsets, negative where there is none: those begin as --from says.
func (c *consumption) assigned(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	begin := map[topicPartition]int64{}
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			tp := topicPartition{Topic: topic, Partition: partition}
			begin[tp] = offset.EpochOffset().Offset
			if begin[tp] < 0 {
				begin[tp] = c.starts[tp]
				partitions[partition] = kgo.NewOffset().At(begin[tp])
			}
		}
	}
	c.positions.assign(begin)
	return offsets, nil
}

// revoked commits what was printed of partitions that go to another member.
func (c *consumption) revoked(ctx context.Context, client *kgo.Client, topics map[string][]int32) {
	if err := client.CommitMarkedOffsets(ctx); err != nil {
		c.env.note("klamm: commit offsets of group %s: %s; the next member prints some records again", c.options.group, reason(err, ""))
	}
	c.positions.revoke(topics)
}

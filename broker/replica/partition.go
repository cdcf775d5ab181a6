// Package replica holds this node's replicas: for each partition its log, its
// leader epoch and its high watermark, and what waits for them.
//
// Invariant: log start <= last stable offset <= high watermark <= log end, and
// the high watermark never moves back. Only committed records count for it,
// which by default means flushed (see [log.Log.Committed]); so what a consumer
// has read is on the disk.
//
// A [Partition] has no lock of its own: its log and its waiting lists guard
// themselves, and its few numbers are atomic. Requests on different partitions
// never meet. The package's only goroutine is the one in [Set.Run].
package replica

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/broker/wait"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/log"
)

// Partition is a replica that this node leads.
type Partition struct {
	protocol.TopicPartition
	TopicID protocol.TopicID

	log           *log.Log
	leaderEpoch   atomic.Int32
	highWatermark atomic.Int64
	deleted       atomic.Bool
	acks          wait.Acks
	polls         wait.Polls
}

// newPartition takes over l, which must not have been appended to since it was
// opened.
func newPartition(tp protocol.TopicPartition, id protocol.TopicID, epoch int32, l *log.Log) *Partition {
	p := &Partition{TopicPartition: tp, TopicID: id, log: l}
	p.leaderEpoch.Store(epoch)
	l.BeginEpoch(epoch)
	l.OnCommitted(p.advance)
	p.advance(l.Committed())
	return p
}

// advance moves the high watermark to end and answers what waited for it. With
// a single in-sync replica, what this log has committed is what the partition
// has.
func (p *Partition) advance(end int64) {
	for {
		was := p.highWatermark.Load()
		if end < was {
			return
		}
		if p.highWatermark.CompareAndSwap(was, end) {
			break
		}
	}
	// Another goroutine may be on its way to tell the log more, or have told it: who
	// is last tells what is true.
	for told := int64(-1); told != p.highWatermark.Load(); {
		told = p.highWatermark.Load()
		p.log.SetHighWatermark(told)
	}
	p.acks.Advance(end)
	p.polls.Wake()
}

// Log returns the partition's log.
func (p *Partition) Log() *log.Log { return p.log }

// HighWatermark is the offset below which every record is committed.
func (p *Partition) HighWatermark() int64 { return p.highWatermark.Load() }

// LastStable is the offset below which every transaction has ended, at most the
// high watermark.
func (p *Partition) LastStable() int64 { return p.log.LastStable(p.HighWatermark()) }

// ReadEnd is where a consumer of the given isolation must stop reading.
func (p *Partition) ReadEnd(committedOnly bool) int64 {
	if committedOnly {
		return p.LastStable()
	}
	return p.HighWatermark()
}

// LeaderEpoch is the epoch in which this node leads the partition.
func (p *Partition) LeaderEpoch() int32 { return p.leaderEpoch.Load() }

// CheckEpoch compares the leader epoch that a client believes in with the true
// one (KIP-320). A negative epoch is not checked.
func (p *Partition) CheckEpoch(believed int32) error {
	current := p.LeaderEpoch()
	switch {
	case believed < 0 || believed == current:
		return nil
	case believed < current:
		return fmt.Errorf("leader epoch %d of %s is past, it is %d: %w", believed, p, current, kerr.FencedLeaderEpoch)
	default:
		return fmt.Errorf("leader epoch %d of %s is not known here, it is %d: %w", believed, p, current, kerr.UnknownLeaderEpoch)
	}
}

// Append appends records as the leader. The batches in records are changed in
// place: they get their offsets and the leader epoch.
func (p *Partition) Append(records []byte, o log.AppendOptions) (log.AppendResult, error) {
	if p.deleted.Load() {
		return log.AppendResult{}, kerr.UnknownTopicOrPartition
	}
	o.LeaderEpoch = p.LeaderEpoch()
	return p.log.Append(records, o)
}

// WhenCommitted calls done(nil) once the record at offset is committed, or
// done(err) when the partition failed or deadline passed before. See
// [wait.Acks.When].
func (p *Partition) WhenCommitted(offset int64, deadline time.Time, done func(error) (then func())) {
	p.acks.When(offset, deadline, done)
}

// Polls are the fetches that wait for this partition.
func (p *Partition) Polls() *wait.Polls { return &p.polls }

// DeleteRecords moves the log's start to before, or to the high watermark for
// -1, and returns the new start (the low watermark). KIP-107.
func (p *Partition) DeleteRecords(before int64) (low int64, err error) {
	hw := p.HighWatermark()
	if before == -1 {
		before = hw
	}
	if before < 0 || before > hw {
		return -1, fmt.Errorf("delete records of %s before %d: the high watermark is %d: %w", p, before, hw, kerr.OffsetOutOfRange)
	}
	if err := p.log.AdvanceStart(before); err != nil {
		return -1, err
	}
	p.polls.Wake()
	return p.log.Start(), nil
}

// fail answers everything that waits with err.
func (p *Partition) fail(err error) {
	p.acks.Fail(err)
	p.polls.Wake()
}

package replica

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/internal/breakage"
	"github.com/klamm-io/klamm/protocol/record"
)

// following is a term in which this node follows a partition's leader.
type following struct {
	partition *Partition
	leader    int32
	epoch     int32
	took      bool // the log may have taken records in this term; guarded by the partition's role
}

// errPast says that an answer was asked for in a term that has ended, or at a
// place where the log does not end any more.
var errPast = errors.New("the log has moved on since")

// position is what a fetch says about a log.
type position struct {
	offset    int64 // where it ends
	logStart  int64
	lastEpoch int32 // of its last record, -1 for none
}

// follow begins a term as a follower of a's leader, or ends the present one where
// there is none. In the same epoch, or an older one, it changes nothing.
func (p *Partition) follow(a Assignment) *following {
	if f := p.following.Load(); f != nil && f.epoch == a.LeaderEpoch && f.leader == a.Leader {
		return f
	}
	p.role.Lock()
	if a.LeaderEpoch < p.LeaderEpoch() || p.deleted.Load() {
		p.role.Unlock()
		return p.following.Load()
	}
	before := p.endTerm(a.LeaderEpoch)
	p.log.FollowEpoch(a.LeaderEpoch)
	var f *following
	if a.Leader >= 0 {
		f = &following{partition: p, leader: a.Leader, epoch: a.LeaderEpoch}
		p.following.Store(f)
	}
	p.role.Unlock()
	p.answer(before)
	return f
}

// position returns where to fetch from. It is not ready while the log has more than
// it has committed: the next fetch acknowledges all below its offset.
func (f *following) position() (at position, ready bool) {
	l := f.partition.log
	end := l.End()
	if l.Committed() < end {
		return position{}, false
	}
	return position{offset: end, logStart: l.Start(), lastEpoch: l.EpochAt(end - 1)}, true
}

// current reports whether the term lasts.
func (f *following) current() bool {
	return f.partition.following.Load() == f && !f.partition.deleted.Load()
}

// during runs fn, which changes the log, if the term lasts and the log still ends
// at the given offset. The term lasts until fn has returned.
func (f *following) during(end int64, fn func() error) error {
	f.partition.role.Lock()
	defer f.partition.role.Unlock()
	if !f.current() || f.partition.log.End() != end {
		return errPast
	}
	return fn()
}

// take makes the leader's answer to a fetch at an offset the log's. The records are
// appended as they came.
func (f *following) take(at int64, answer *kmsg.FetchResponseTopicPartition, now time.Time) error {
	return f.during(at, func() error {
		if d := answer.DivergingEpoch; d.Epoch >= 0 {
			return f.truncate(EpochEnd{Epoch: d.Epoch, Offset: d.EndOffset})
		}
		if l := f.partition.log; answer.LogStartOffset == at && l.Start() < at {
			// All that this log has was deleted, and so the leader cannot tell whether it
			// was the same. It must not show again after a power cut.
			if err := l.StartAt(at); err != nil {
				return err
			}
		}
		if len(answer.RecordBatches) > 0 {
			if err := f.append(answer.RecordBatches, now); err != nil {
				return err
			}
		}
		return f.learn(answer.HighWatermark, answer.LogStartOffset)
	})
}

// append appends what the leader sent. A leader's log may begin in the middle of a
// batch, where records were deleted up to there, and then the whole batch comes: a
// log that was empty begins with it.
func (f *following) append(records []byte, now time.Time) error {
	l := f.partition.log
	end := l.End()
	if first, _, err := record.Next(records); err == nil && l.Start() == end && first.BaseOffset() < end && end <= first.LastOffset() {
		if err := l.StartAt(first.BaseOffset()); err != nil {
			return err
		}
	}
	_, err := l.AppendReplicated(records, now)
	return err
}

// learn takes over the leader's high watermark and log start, as far as the log
// reaches.
func (f *following) learn(highWatermark, logStart int64) error {
	p := f.partition
	end := p.log.End()
	if hw := min(highWatermark, end); hw > p.highWatermark.Load() {
		p.highWatermark.Store(hw)
		p.publish()
	}
	return p.log.AdvanceStart(min(logStart, end))
}

// truncate takes back what the leader does not have: all after where the largest
// epoch ends that both know. Where this log does not know the leader's, it goes
// back to the one before; the next fetch tells whether that was far enough.
func (f *following) truncate(leader EpochEnd) error {
	l := f.partition.log
	epoch, end := l.EndOffsetForEpoch(leader.Epoch)
	f.partition.missing.Store(min(f.partition.missing.Load(), end))
	switch {
	case epoch < 0:
		return fmt.Errorf("%s diverges in leader epoch %d, which it does not know: %w", f.partition, leader.Epoch, kerr.UnknownServerError)
	case epoch == leader.Epoch:
		end = min(end, leader.Offset)
	}
	return f.truncateTo(end)
}

// truncateTo takes back all from offset on. Only after the election of a leader that
// lacked committed records can that be below the high watermark.
func (f *following) truncateTo(offset int64) error {
	if breakage.Is(breakage.NoTruncation) {
		return nil
	}
	p := f.partition
	truncate := p.log.TruncateTo
	if offset < p.log.Start() {
		truncate = p.log.StartAt
	}
	if err := truncate(offset); err != nil {
		return err
	}
	p.highWatermark.Store(min(p.highWatermark.Load(), p.log.End()))
	return nil
}

// reset brings a log that ends at an offset which its leader does not have to
// between the leader's ends.
func (f *following) reset(at, leaderStart, leaderEnd int64) error {
	return f.during(at, func() error {
		switch {
		case at > leaderEnd:
			return f.truncateTo(leaderEnd)
		case at < leaderStart:
			if err := f.partition.log.StartAt(leaderStart); err != nil {
				return err
			}
			f.partition.highWatermark.Store(leaderStart)
		}
		return nil // its ends have moved since
	})
}

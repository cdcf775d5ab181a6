// Package replica holds this node's replicas: for each partition its log, its
// leader epoch and its high watermark, what waits for them, and how they come to
// hold the same as the other replicas.
//
// Invariants: log start <= last stable offset <= high watermark <= log end. The
// high watermark never moves back while this node leads, nor for a reader: where
// a new leader does not know it yet, it says so (see [Partition.LatestOffset]).
// Only what every in-sync replica has committed counts for it, which by default
// means flushed (see [log.Log.Committed]); so what a consumer has read is on their
// disks.
//
// A [Partition] leads, or follows, or does neither. What it does is one term: a
// [leadership] or a [following], which ends when the controller says otherwise.
// Whatever was begun in a term (an append that waits, a fetch that is under way)
// belongs to it and comes to nothing in a later one.
//
// Locks. A partition's role lock is held while its term changes, and while a
// follower changes its log; a leader appends without it, because the log refuses
// what comes from a past epoch. Below it come the log's. A leadership's mutex is
// held while it decides, and nothing is called under it; nor under that of what has
// moved, which any of the others may be held for. Requests on different partitions
// never meet, but where they tell the sessions of followers that they moved.
//
// Goroutines: the one in [Set.Run]; [Replicator.Run], and under it one for each
// node that leads partitions which this one follows.
package replica

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/broker/wait"
	"github.com/klamm-io/klamm/internal/breakage"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/log"
)

// Partition is a replica on this node.
type Partition struct {
	protocol.TopicPartition
	TopicID protocol.TopicID

	log           *log.Log
	highWatermark atomic.Int64
	deleted       atomic.Bool
	polls         wait.Polls        // of consumers: woken when the high watermark moves
	watchers      watchers          // followers' sessions: they hear when the log grows, or its ends move
	flushes       wait.Polls        // of the fetcher: woken when more is committed here
	waits         *moves[Partition] // of the set: those that produces have come to wait for
	waiting       mover             // in waits

	mended  atomic.Bool  // some of the log was taken back because it was damaged
	yielded atomic.Int64 // when this replica left the ISR because its disk was full, in milliseconds; 0: it did not
	missing atomic.Int64 // up to where it is to be copied anew until it counts again

	role sync.Mutex
	// Changed with role held; read at any time.
	leaderEpoch atomic.Int32
	leading     atomic.Pointer[leadership] // nil: another leads
	following   atomic.Pointer[following]  // nil: not known whom
}

// newPartition takes over l, which must not have been appended to since it was
// opened.
func newPartition(tp protocol.TopicPartition, id protocol.TopicID, l *log.Log, waits *moves[Partition]) *Partition {
	p := &Partition{TopicPartition: tp, TopicID: id, log: l, waits: waits}
	p.leaderEpoch.Store(-1)
	l.OnCommitted(p.committed)
	return p
}

// committed hears that all below end is committed in this log.
func (p *Partition) committed(end int64) {
	if lead := p.leading.Load(); lead != nil {
		lead.committed(end)
	}
	p.flushes.Wake()
}

// publish lets the log and the readers know of a high watermark that moved.
func (p *Partition) publish() {
	// Another goroutine may be on its way to tell the log more, or have told it: who
	// is last tells what is true.
	for told := int64(-1); told != p.highWatermark.Load(); {
		told = p.highWatermark.Load()
		p.log.SetHighWatermark(told)
	}
	p.polls.Wake()
	p.watchers.moved()
}

// Log returns the partition's log.
func (p *Partition) Log() *log.Log { return p.log }

// HighWatermark is the offset below which every record is committed, as far as
// this replica knows.
func (p *Partition) HighWatermark() int64 { return p.highWatermark.Load() }

// LatestOffset is the high watermark for who asks where the partition ends.
// A leader that does not know yet what its predecessors had committed answers
// OFFSET_NOT_AVAILABLE (KIP-207).
func (p *Partition) LatestOffset() (int64, error) {
	hw := p.HighWatermark()
	if lead := p.leading.Load(); lead != nil && hw < lead.epochStart {
		return -1, fmt.Errorf("%s is led anew from offset %d, its high watermark is known up to %d: %w", p, lead.epochStart, hw, kerr.OffsetNotAvailable)
	}
	return hw, nil
}

// LastStable is the offset below which every transaction has ended, at most the
// high watermark.
func (p *Partition) LastStable() int64 { return p.log.LastStable(p.HighWatermark()) }

// ReadEnd is where a consumer of the given isolation must stop reading, at a leader
// and at a follower (KIP-392).
func (p *Partition) ReadEnd(committedOnly bool) int64 {
	if committedOnly {
		return p.LastStable()
	}
	return p.HighWatermark()
}

// LeaderEpoch is the epoch in which this node leads the partition, or follows its
// leader; -1 before it does either.
func (p *Partition) LeaderEpoch() int32 { return p.leaderEpoch.Load() }

// Deleted reports whether this node has no replica of the partition any more, or has
// another one in its place.
func (p *Partition) Deleted() bool { return p.deleted.Load() }

// Settle lets a leadership change nothing any more, so that another replica of this
// node can go on in its leader epoch. It reports false where the controller may follow
// a proposal of an ISR, of which that one would not know.
func (p *Partition) Settle() bool {
	lead := p.leading.Load()
	if lead == nil {
		return true
	}
	lead.mu.Lock()
	defer lead.mu.Unlock()
	lead.ended = lead.ended || lead.isr.proposal == nil
	return lead.ended
}

// Resume takes over a high watermark from another replica of this node with the same
// records. It is to be called before the partition leads or follows.
func (p *Partition) Resume(highWatermark int64) {
	p.highWatermark.Store(min(highWatermark, p.log.End()))
	p.publish()
}

// Leads reports whether this node leads the partition.
func (p *Partition) Leads() bool { return p.leading.Load() != nil }

// CheckEpoch compares the leader epoch that a client believes in with the true
// one (KIP-320). A negative epoch is not checked.
func (p *Partition) CheckEpoch(believed int32) error {
	current := p.LeaderEpoch()
	switch {
	case believed < 0 || believed == current || breakage.Is(breakage.NoEpochFence):
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
	return p.appendAs(p.leading.Load(), records, o)
}

// AppendIn is Append for who has read all that the partition has: it appends only
// while this node leads in the leader epoch in which that was read.
func (p *Partition) AppendIn(leaderEpoch int32, records []byte, o log.AppendOptions) (log.AppendResult, error) {
	lead := p.leading.Load()
	if lead != nil && lead.epoch != leaderEpoch {
		lead = nil
	}
	return p.appendAs(lead, records, o)
}

// appendAs appends in a leadership, nil for none.
func (p *Partition) appendAs(lead *leadership, records []byte, o log.AppendOptions) (log.AppendResult, error) {
	if p.deleted.Load() {
		return log.AppendResult{}, kerr.UnknownTopicOrPartition
	}
	if lead == nil {
		return log.AppendResult{}, p.notLed()
	}
	o.LeaderEpoch = lead.epoch
	result, err := p.log.Append(records, o)
	p.watchers.appended()
	if !o.FlushLater {
		p.watchers.grown()
	}
	return result, err
}

// Announce lets what was appended with [log.AppendOptions.FlushLater] be flushed, and
// be copied by followers.
func (p *Partition) Announce() {
	p.log.FlushSoon()
	p.watchers.grown()
}

func (p *Partition) notLed() error {
	return fmt.Errorf("%s is not led from here: %w", p, kerr.NotLeaderForPartition)
}

// CheckMinISR returns NOT_ENOUGH_REPLICAS where the ISR has fewer replicas than
// acks=all needs: such a produce is to be refused before anything is appended.
func (p *Partition) CheckMinISR() error {
	lead := p.leading.Load()
	if lead == nil {
		return p.notLed()
	}
	if lead.underMinISR.Load() {
		return fmt.Errorf("%s has fewer in-sync replicas than min.insync.replicas asks for: %w", p, kerr.NotEnoughReplicas)
	}
	return nil
}

// WhenCommitted calls done(nil) once the record that was appended at offset in the
// given leader epoch is committed by every in-sync replica (acks=all), or done(err)
// when the partition failed, is led in another epoch, has too few in-sync replicas
// or deadline passed before. See [wait.Acks.When].
func (p *Partition) WhenCommitted(leaderEpoch int32, offset int64, deadline time.Time, done func(error) (then func())) {
	lead := p.ledIn(leaderEpoch, done)
	if lead == nil {
		return
	}
	if breakage.Is(breakage.EarlyAck) {
		offset = -1
	}
	lead.acks.When(offset, deadline, done)
	p.waits.add(p, &p.waiting)
	lead.refuseUnderMinISR()
}

// WhenFlushed is WhenCommitted for what this node alone has committed (acks=1).
func (p *Partition) WhenFlushed(leaderEpoch int32, offset int64, deadline time.Time, done func(error) (then func())) {
	if lead := p.ledIn(leaderEpoch, done); lead != nil {
		lead.localAcks.When(offset, deadline, done)
		p.waits.add(p, &p.waiting)
	}
}

// ledIn returns the leadership of an epoch. Where it has ended, done is told.
func (p *Partition) ledIn(leaderEpoch int32, done func(error) (then func())) *leadership {
	lead := p.leading.Load()
	if lead != nil && lead.epoch == leaderEpoch {
		return lead
	}
	if then := done(fmt.Errorf("what was appended to %s in leader epoch %d may be lost: %w", p, leaderEpoch, kerr.NotLeaderForPartition)); then != nil {
		then()
	}
	return nil
}

// Polls are the consumers' fetches that wait for this partition.
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
	p.watchers.moved()
	return p.log.Start(), nil
}

// fail answers everything that waits with err.
func (p *Partition) fail(err error) {
	if lead := p.leading.Load(); lead != nil {
		lead.fail(err)
	}
	p.wakeAll()
}

func (p *Partition) wakeAll() {
	p.polls.Wake()
	p.watchers.wake()
	p.flushes.Wake()
}

// expire answers what waited until now, and reports whether anything waits on.
func (p *Partition) expire(now time.Time) (waits bool) {
	lead := p.leading.Load()
	if lead == nil {
		return false // what waited for it was answered when its term ended
	}
	all, local := lead.acks.Expire(now, kerr.RequestTimedOut), lead.localAcks.Expire(now, kerr.RequestTimedOut)
	return all+local > 0
}

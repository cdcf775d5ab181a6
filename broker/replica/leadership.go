package replica

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/broker/wait"
)

// leadership is a term in which this node leads a partition: what it knows of the
// followers, and the produces that wait.
type leadership struct {
	partition   *Partition
	epoch       int32
	epochStart  int64 // the log's end when the term began
	propose     proposer
	underMinISR atomic.Bool
	startTold   atomic.Int64 // the log's start when followers were told last
	acks        wait.Acks    // acks=all: free at the high watermark
	localAcks   wait.Acks    // acks=1: free where this node has committed

	mu sync.Mutex
	// Guarded by mu.
	isr   *isr
	ended bool // nothing that happens now counts
}

// proposer asks the controller for an ISR; for nil it sees to it that
// [leadership.passed] is called soon. It does not block.
type proposer func(*leadership, *proposal)

// lead begins a term as a's leader. In the same epoch it only takes in what has
// changed. An older epoch than the present one changes nothing.
func (p *Partition) lead(a Assignment, node int32, rules isrRules, propose proposer) *leadership {
	if lead := p.leading.Load(); lead != nil && lead.epoch == a.LeaderEpoch {
		lead.step(func(s *isr) effects { return s.assigned(a, time.Now()) })
		p.watchers.moved() // for followers that were met just now, what they have counts anew
		return lead
	}
	p.role.Lock()
	if a.LeaderEpoch < p.LeaderEpoch() || p.deleted.Load() {
		p.role.Unlock()
		return p.leading.Load()
	}
	before := p.endTerm(a.LeaderEpoch)
	p.log.BeginEpoch(a.LeaderEpoch)
	own := p.ends()
	lead := &leadership{
		partition: p, epoch: a.LeaderEpoch, epochStart: own.end, propose: propose,
		isr: newISR(node, rules, a, own, p.HighWatermark(), time.Now()),
	}
	p.leading.Store(lead)
	p.role.Unlock()
	p.answer(before)
	lead.acks.Advance(p.HighWatermark())
	lead.committed(p.log.Committed())
	return lead
}

// endTerm ends what this node did so far, and enters a leader epoch. It returns
// the leadership that ended, which is owed an answer. The caller holds role.
func (p *Partition) endTerm(leaderEpoch int32) *leadership {
	lead := p.leading.Swap(nil)
	p.following.Store(nil)
	p.leaderEpoch.Store(leaderEpoch)
	if lead != nil {
		lead.mu.Lock()
		lead.ended = true
		lead.mu.Unlock()
	}
	return lead
}

// answer tells all that waited in a leadership that has ended. What it sets free
// may append elsewhere, so that no lock may be held.
func (p *Partition) answer(ended *leadership) {
	if ended != nil {
		ended.fail(fmt.Errorf("%s is not led from here any more: %w", p, kerr.NotLeaderForPartition))
	}
	p.wakeAll()
}

func (l *leadership) fail(err error) {
	l.acks.Fail(err)
	l.localAcks.Fail(err)
}

func (p *Partition) ends() ends { return ends{end: p.log.End(), committed: p.log.Committed()} }

// committed hears that all below end is committed in this node's log. Where that
// is more than the log has committed by its present configuration, it was told so
// before that changed.
func (l *leadership) committed(end int64) {
	l.step(func(s *isr) effects {
		own := ends{end: l.partition.log.End(), committed: end}
		if len(s.followers) == 0 {
			return s.grown(own, time.Time{}) // to ask for the time would be most of the work
		}
		return s.grown(own, time.Now())
	})
	l.localAcks.Advance(end)
}

// step lets the state machine decide on an event, and does what follows from it.
func (l *leadership) step(event func(s *isr) effects) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	e := event(l.isr)
	hw := l.isr.highWatermark
	moved := e.advanced || hw > l.partition.highWatermark.Load()
	if moved {
		l.partition.highWatermark.Store(hw)
	}
	l.underMinISR.Store(l.isr.underMinISR())
	l.mu.Unlock()
	if moved {
		l.partition.publish()
		l.acks.Advance(hw)
	}
	l.refuseUnderMinISR()
	if e.propose != nil || e.soon {
		l.propose(l, e.propose)
	}
}

// refuseUnderMinISR answers the produces that wait for acks=all where that cannot
// be had any more. Their records stay and may be committed later.
func (l *leadership) refuseUnderMinISR() {
	if l.underMinISR.Load() {
		l.acks.Refuse(fmt.Errorf("%s has lost in-sync replicas: %w", l.partition, kerr.NotEnoughReplicasAfterAppend))
	}
}

// FollowerState is how far a follower is, as its leader knows.
type FollowerState struct {
	ID            int32
	End, LogStart int64 // offsets; what it has flushed lies below End
}

// InSyncFollowers are the replicas in the ISR besides this one, where it leads.
func (p *Partition) InSyncFollowers() []FollowerState {
	lead := p.leading.Load()
	if lead == nil {
		return nil
	}
	lead.mu.Lock()
	defer lead.mu.Unlock()
	var all []FollowerState
	for _, id := range lead.isr.agreed.ISR {
		if f := lead.isr.followers[id]; f != nil && f.end >= 0 {
			all = append(all, FollowerState{ID: id, End: f.end, LogStart: f.logStart})
		}
	}
	return all
}

// request makes a proposal one for the controller; false where it does not hold any
// more.
func (l *leadership) request(p *proposal) (Proposal, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Proposal{
		TopicPartition: l.partition.TopicPartition,
		TopicID:        l.partition.TopicID,
		LeaderEpoch:    l.epoch,
		PartitionEpoch: l.isr.agreed.PartitionEpoch,
		ISR:            p.members,
	}, !l.ended && l.isr.proposal == p
}

// answered takes in what became of a proposal.
func (l *leadership) answered(p *proposal, answer ProposalAnswer) {
	l.step(func(s *isr) effects { return s.answered(p.sequence, answer, time.Now()) })
}

// passed takes in that time has passed. Followers hear of a start that retention has
// moved since the last time.
func (l *leadership) passed() {
	if start := l.partition.log.Start(); l.startTold.Swap(start) != start {
		l.partition.watchers.moved()
	}
	l.step(func(s *isr) effects { return s.passed(l.partition.ends(), time.Now()) })
}

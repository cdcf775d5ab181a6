package quorum

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/twmb/franz-go/pkg/kerr"
)

// proposal is a decision on its way through raft. There is one at a time.
type proposal struct {
	term     uint64 // in which this node leads
	decision []byte
	voters   *raftpb.ConfChangeV2 // what it changes of the voters, nil for all other decisions

	index   uint64     // that raft gave it, 0 for none yet; guarded by Quorum.mu
	after   *state     // where the cluster stands with it; set before the outcome is nil
	outcome chan error // has room for the one word that it gets
}

// errLeadLost ends a proposal whose fate this node does not know.
var errLeadLost = fmt.Errorf("this node lost the lead of the quorum; whether the decision was taken shows with the next leader: %w", kerr.NotController)

// track makes p the pending proposal, or refuses it.
func (q *Quorum) track(p *proposal) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed != nil {
		return q.failed
	}
	q.pending = p
	return nil
}

// placed notes the index that raft gave the pending proposal.
func (q *Quorum) placed(index uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending != nil && q.pending.index == 0 {
		q.pending.index = index
	}
}

// giveUp ends the pending proposal with err, if there is one.
func (q *Quorum) giveUp(err error) {
	q.mu.Lock()
	p := q.pending
	q.pending = nil
	q.mu.Unlock()
	if p != nil {
		p.outcome <- err
	}
}

// settle ends the pending proposal if the entry of its index was applied.
func (q *Quorum) settle(s *state) {
	q.mu.Lock()
	p := q.pending
	if p == nil || p.index == 0 || p.index > s.index {
		q.mu.Unlock()
		return
	}
	q.pending = nil
	q.mu.Unlock()
	if p.index == s.index && p.term == s.term {
		p.after = s
		p.outcome <- nil
		return
	}
	p.outcome <- errLeadLost
}

// fail ends this node's part in the quorum: its disk no longer does what raft
// relies on.
func (q *Quorum) fail(err error) {
	err = fmt.Errorf("the metadata log: %w: %w", err, kerr.KafkaStorageError)
	q.logger.Error("this node takes no more part in the quorum; restart it when its disk is sound", "err", err)
	q.end(err)
}

// misread ends this node's part in the quorum: it does not understand what is decided.
// Its log is sound.
func (q *Quorum) misread(err error) {
	q.logger.Error("this node takes no more part in the quorum, and stops", "err", err)
	q.end(misreadError{err})
}

// misreadError is told to clients as a trouble of this node's, by a code whose meaning
// is not its own.
type misreadError struct{ error }

func (e misreadError) Unwrap() []error { return []error{e.error, kerr.KafkaStorageError} }

// end lets all who wait for decisions hear that there will be none here.
func (q *Quorum) end(err error) {
	q.mu.Lock()
	q.failed = err
	q.announce()
	q.mu.Unlock()
	q.giveUp(err)
}

// lead publishes who leads. If it was this node until now, lost is why the pending
// proposal ends.
func (q *Quorum) lead(l leadership, lost error) {
	q.mu.Lock()
	led := q.leader.id == q.config.NodeID && l != q.leader
	q.leader = l
	q.announce()
	q.mu.Unlock()
	if led {
		q.giveUp(lost)
	}
}

// refused publishes that the disk does not take what raft wants written, so that
// this node does not lead.
func (q *Quorum) refused(l leadership, why error) {
	q.mu.Lock()
	first := q.unwritable == nil
	q.unwritable = why
	q.mu.Unlock()
	if first {
		q.logger.Error("the metadata log cannot be written; this node gives up the lead of the quorum, if it has it, and tries again", "err", why)
	}
	q.lead(l, why)
}

// writable publishes that the disk took what raft wanted written.
func (q *Quorum) writable() {
	q.mu.Lock()
	was := q.unwritable
	q.unwritable = nil
	q.mu.Unlock()
	if was != nil {
		q.logger.Info("the metadata log can be written again")
	}
}

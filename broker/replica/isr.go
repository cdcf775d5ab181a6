package replica

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/internal/breakage"
)

// isr is what the leader of a partition knows of its followers, and what it
// decides from that: the high watermark, and which replicas are in sync. It is a
// pure step machine: it is told what happened and when, and says what follows.
//
// Invariants: the high watermark never moves back. No replica of the ISR, nor of
// the one proposed, has flushed less than the high watermark at the time it moves
// (KIP-497): so whoever is elected from either has every committed record. It
// does not move while the ISR has fewer replicas than it needs (KIP-966), so that
// the last of them are not the only ones that know what was committed.
type isr struct {
	node     int32
	rules    isrRules
	agreed   Assignment
	proposal *proposal // nil: none that the controller may still follow
	sequence int       // of the last proposal
	rest     time.Time // nothing is proposed before, because the controller refused

	epochStart    int64 // the log's end when this node began to lead
	end           int64 // of the log
	committed     int64 // what this node has flushed, where acknowledgements count disks
	highWatermark int64
	followers     map[int32]*follower
}

// isrRules are what the decisions depend on besides the events.
type isrRules struct {
	LagMax  time.Duration // replica.lag.time.max.ms
	Backoff time.Duration // before a proposal that got no clear answer is repeated
	// Eligible reports whether a broker may be in an ISR: it is neither fenced nor
	// shutting down, and registered with the given epoch.
	Eligible func(id int32, brokerEpoch int64) bool
}

// follower is another replica of the partition.
type follower struct {
	brokerEpoch   int64     // of its last fetch, -1 before
	end           int64     // what it has flushed: the offset of its last fetch, -1 before
	logStart      int64     // the first offset that it has, -1 where not known
	fetched       time.Time // when it fetched last
	leaderEndThen int64     // the leader's end at that time
	caughtUp      time.Time // the last time at which it had all that there was
}

// proposal is an ISR that the controller was asked for.
type proposal struct {
	sequence int
	members  []Member  // with the epochs by which it was decided on
	retry    time.Time // when it is to be repeated, zero: not to be
}

// ends are the two ends of the leader's log.
type ends struct{ end, committed int64 }

// followerFetch is what a fetch says of its follower.
type followerFetch struct {
	replica     int32
	brokerEpoch int64 // -1: not said
	offset      int64
	logStart    int64
}

// effects are what follows from an event.
type effects struct {
	advanced bool      // the high watermark moved
	propose  *proposal // the controller is to be asked, for the first time or again
	soon     bool      // after the back-off there may be something to propose
}

func newISR(node int32, rules isrRules, a Assignment, own ends, highWatermark int64, now time.Time) *isr {
	s := &isr{
		node: node, rules: rules, agreed: a, epochStart: own.end, end: own.end, committed: own.committed,
		highWatermark: min(highWatermark, own.end), followers: map[int32]*follower{},
	}
	s.meet(now)
	return s
}

// meet makes the followers those of the agreed assignment. One in the ISR is taken
// to be caught up until it had its time to show that.
func (s *isr) meet(now time.Time) {
	for id := range s.followers {
		if !slices.Contains(s.agreed.Replicas, id) {
			delete(s.followers, id)
		}
	}
	for _, id := range s.agreed.Replicas {
		if id == s.node || s.followers[id] != nil {
			continue
		}
		f := &follower{brokerEpoch: -1, end: -1, logStart: -1}
		if slices.Contains(s.agreed.ISR, id) {
			f.caughtUp = now
		}
		s.followers[id] = f
	}
}

// assigned takes in what the controller says of the same leader epoch. What is not
// newer than what is known changes nothing, but for MinISR, which is configured.
func (s *isr) assigned(a Assignment, now time.Time) effects {
	if a.PartitionEpoch > s.agreed.PartitionEpoch {
		s.agreed, s.proposal = a, nil
		s.meet(now)
	}
	s.agreed.MinISR = a.MinISR
	return effects{advanced: s.advance(now)}
}

// grown takes in that the leader's log has grown, or more of it was flushed.
func (s *isr) grown(own ends, now time.Time) effects {
	s.note(own, now)
	return effects{advanced: s.advance(now)}
}

// note takes in where the log ends. A follower that had all of it had that until now,
// though it says nothing while there is nothing to say.
func (s *isr) note(own ends, now time.Time) {
	if own.end > s.end {
		for _, f := range s.followers {
			if f.end == s.end {
				f.caughtUp = now
			}
		}
	}
	s.end, s.committed = max(s.end, own.end), max(s.committed, own.committed)
}

// fetchedBy takes in how far a follower has come.
func (s *isr) fetchedBy(f followerFetch, own ends, now time.Time) (effects, error) {
	s.note(own, now)
	known := s.followers[f.replica]
	switch {
	case known == nil:
		return effects{}, fmt.Errorf("broker %d has no replica of this partition in partition epoch %d: %w", f.replica, s.agreed.PartitionEpoch, kerr.UnknownLeaderEpoch)
	case f.brokerEpoch >= 0 && f.brokerEpoch < known.brokerEpoch:
		return effects{}, fmt.Errorf("broker %d fetched with broker epoch %d after %d: %w", f.replica, f.brokerEpoch, known.brokerEpoch, kerr.NotLeaderForPartition)
	case f.offset >= s.end:
		known.caughtUp = now
	case !known.fetched.IsZero() && f.offset >= known.leaderEndThen:
		known.caughtUp = latest(known.caughtUp, known.fetched)
	}
	known.brokerEpoch, known.end, known.logStart = f.brokerEpoch, f.offset, f.logStart
	known.fetched, known.leaderEndThen = now, s.end
	return effects{propose: s.expand(f.replica, known, now), advanced: s.advance(now)}, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// passed takes in that time has passed, or that other brokers are eligible.
func (s *isr) passed(own ends, now time.Time) effects {
	s.note(own, now)
	e := effects{advanced: s.advance(now)}
	switch {
	case s.proposal == nil && !now.Before(s.rest):
		if e.propose = s.shrink(now); e.propose == nil {
			e.propose = s.expandAtRest(now)
		}
	case s.proposal == nil:
	case !s.proposal.retry.IsZero() && !now.Before(s.proposal.retry):
		s.proposal.retry = time.Time{}
		e.propose = s.proposal
	}
	e.soon = s.waits(now)
	return e
}

// answered takes in what became of a proposal. An answer that tells that the
// controller did nothing takes it back. After one that leaves that open it stays,
// and counts, until it is repeated or the controller says what holds.
func (s *isr) answered(sequence int, answer ProposalAnswer, now time.Time) effects {
	if s.proposal == nil || s.proposal.sequence != sequence {
		return effects{}
	}
	switch err := answer.Err; {
	case err == nil:
		answer.Assignment.MinISR = s.agreed.MinISR
		if a := answer.Assignment; a.LeaderEpoch == s.agreed.LeaderEpoch && a.PartitionEpoch > s.agreed.PartitionEpoch {
			s.agreed, s.proposal = a, nil
			s.meet(now)
		}
	case errors.Is(err, kerr.IneligibleReplica), errors.Is(err, kerr.OperationNotAttempted):
		s.proposal, s.rest = nil, now.Add(s.rules.Backoff)
	case isOneOf(err, kerr.InvalidUpdateVersion, kerr.FencedLeaderEpoch, kerr.NewLeaderElected, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidRequest):
		// What this node knows is past. The controller's word is on its way.
	default:
		s.proposal.retry = now.Add(s.rules.Backoff)
	}
	return effects{advanced: s.advance(now), soon: s.waits(now)}
}

// waits reports whether something is to be proposed once the back-off is over.
func (s *isr) waits(now time.Time) bool {
	return now.Before(s.rest) || s.proposal != nil && !s.proposal.retry.IsZero()
}

func isOneOf(err error, of ...*kerr.Error) bool {
	return slices.ContainsFunc(of, func(e *kerr.Error) bool { return errors.Is(err, e) })
}

// expand proposes an ISR with a follower that has just fetched, if it has all that
// is committed, and all that stood in the log when this node began to lead: before
// that its high watermark may lag behind what was committed.
func (s *isr) expand(id int32, f *follower, now time.Time) *proposal {
	if s.proposal != nil || now.Before(s.rest) || slices.Contains(s.agreed.ISR, id) || slices.Contains(s.agreed.Offline, id) ||
		f.end < max(s.highWatermark, s.epochStart) || !s.rules.Eligible(id, f.brokerEpoch) {
		return nil
	}
	return s.proposes(append(slices.Clone(s.agreed.ISR), id))
}

// expandAtRest is expand for a follower that has all that there is, and so fetches
// nothing: what was in the way when it fetched last may be so no more.
func (s *isr) expandAtRest(now time.Time) *proposal {
	for _, id := range s.agreed.Replicas {
		if f := s.followers[id]; f != nil && f.end == s.end {
			if p := s.expand(id, f, now); p != nil {
				return p
			}
		}
	}
	return nil
}

// shrink proposes an ISR without the followers that were not caught up for too
// long; or the same one, to tell that this node has recovered.
func (s *isr) shrink(now time.Time) *proposal {
	var lagging []int32
	for _, id := range s.agreed.ISR {
		if f := s.followers[id]; f != nil && f.end != s.end && now.Sub(f.caughtUp) > s.rules.LagMax {
			lagging = append(lagging, id)
		}
	}
	if len(lagging) == 0 && !s.agreed.Recovering {
		return nil
	}
	return s.proposes(without(s.agreed.ISR, lagging))
}

func (s *isr) proposes(isr []int32) *proposal {
	s.sequence++
	s.proposal = &proposal{sequence: s.sequence}
	for _, id := range isr {
		m := Member{ID: id, BrokerEpoch: -1}
		if f := s.followers[id]; f != nil {
			m.BrokerEpoch = f.brokerEpoch
		}
		s.proposal.members = append(s.proposal.members, m)
	}
	return s.proposal
}

// advance moves the high watermark to what every replica has flushed that is in
// the ISR, or may be without this node knowing, or is about to be: without the
// last, a follower would never catch up with a leader that is alone.
func (s *isr) advance(now time.Time) bool {
	if s.underMinISR() {
		return false
	}
	reached := s.committed
	for id, f := range s.followers {
		if f.end < reached && !breakage.Is(breakage.HighWatermark) && (s.mayBeInSync(id) || s.joining(id, f, now)) {
			reached = f.end
		}
	}
	if reached <= s.highWatermark {
		return false
	}
	s.highWatermark = reached
	return true
}

func (s *isr) mayBeInSync(id int32) bool {
	return slices.Contains(s.agreed.ISR, id) || s.proposal != nil && slices.ContainsFunc(s.proposal.members, func(m Member) bool { return m.ID == id })
}

func (s *isr) joining(id int32, f *follower, now time.Time) bool {
	return !f.caughtUp.IsZero() && !slices.Contains(s.agreed.Offline, id) && now.Sub(f.caughtUp) <= s.rules.LagMax && s.rules.Eligible(id, f.brokerEpoch)
}

// underMinISR reports whether acks=all cannot be had.
func (s *isr) underMinISR() bool { return len(s.agreed.ISR) < s.agreed.MinISR }

package quorum

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// Who stands for the lead, and when. Raft lets chance decide, which costs up to twice
// the time-out, and as much again where two voters stand at once. Here the followers
// take turns, the lowest id first, so that no time passes for raft while it follows;
// chance decides only among those that have stood and were not elected.

// tick lets time pass.
func (r *replica) tick() {
	if r.asking--; r.asking <= 0 {
		r.asking = ticksPerAsk
		r.ask()
	}
	if r.birth != nil && !r.tickBirth() {
		return
	}
	r.goneFor = max(0, r.goneFor-1)
	if r.node.BasicStatus().RaftState == raft.StateFollower {
		r.tickFollower()
	} else {
		r.silent = 0
		r.node.Tick()
	}
	if r.standIn == 0 {
		return
	}
	if r.standIn--; r.standIn == 0 && r.led.id < 0 {
		r.campaign()
	}
}

// tickFollower gives up a leader that has been silent for the time-out, so that this
// node votes for others, and stands itself where it has a vote.
func (r *replica) tickFollower() {
	if r.silent++; r.silent < ticksPerElection || r.standIn > 0 || r.node.ForgetLeader() != nil {
		return
	}
	if r.votes() {
		r.standIn = r.turn(r.quorum.config.NodeID)
	}
}

// giveTime lets others have their turn, to one of whom this node has given its vote.
func (r *replica) giveTime() { r.silent, r.standIn = 0, 0 }

// doubt gives up a leader whose process is gone, which the others see too, and
// stands for the lead soon. Others whose process is gone are not sent much.
func (r *replica) doubt(node int32) {
	if r.led.id == r.quorum.config.NodeID {
		for _, v := range r.quorum.Voters() {
			if v.ID == node {
				r.node.ReportUnreachable(raftIDOf(v))
			}
		}
		return
	}
	if node != r.led.id || r.node.ForgetLeader() != nil {
		return
	}
	r.gone, r.goneFor = r.led, ticksPerElection
	if r.votes() {
		r.standIn = r.turn(node)
	}
}

// isGone reports whether a message is one that a leader has left, whose process is
// gone: it would make this node follow it once more.
func (r *replica) isGone(m *raftpb.Message) bool {
	return r.goneFor > 0 && nodeOf(m.GetFrom()) == r.gone.id && m.GetTerm() == r.gone.term
}

// turn is after how many ticks this node stands for the lead, while the given one does
// not: one voter after the other, lest they split the votes.
func (r *replica) turn(gone int32) int {
	ticks := 1
	for _, v := range r.quorum.Voters() {
		if v.ID < r.quorum.config.NodeID && v.ID != gone {
			ticks += 2
		}
	}
	return ticks
}

// retry lets a node that is alone stand for the lead without waiting for the next
// tick.
func (r *replica) retry() {
	select {
	case r.again <- struct{}{}:
	default:
	}
}

func (r *replica) standAgain() {
	if r.led.id < 0 && r.standIn > 0 {
		r.standIn = 0
		r.campaign()
	}
}

func (r *replica) campaign() {
	if err := r.node.Campaign(); err != nil {
		r.quorum.logger.Warn("standing for the lead of the quorum failed", "err", err)
	}
}

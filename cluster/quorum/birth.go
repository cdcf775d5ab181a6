package quorum

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// birth is the time before a node has taken part in anything. Its disk is empty, and
// it is one of the voters that it was told: so the cluster is new, or it is not and
// this node has lost its disk, or has never been there. Where a voter forgets what it
// promised, decisions may be lost. So a node in its birth has a say in the very first
// election only, in which nobody has anything, and only after it has asked all others
// whether they are as new, and waited for those that do not answer. If it hears of a
// cluster that exists it asks to be taken in as another voter, and has no say before.
//
// docs/decisions/0015-a-voter-is-a-disk.md says why, and where that ends.
type birth struct {
	directory [16]byte
	new       map[int32]bool // voters that are as new
	ticks     int            // that it has lasted
	ready     bool           // to vote
}

// birthTicks is how long others are waited for that do not answer.
const birthTicks = 3 * ticksPerElection

func newBirth(directory [16]byte) *birth {
	return &birth{directory: directory, new: map[int32]bool{}}
}

// tickBirth asks the others, and reports whether raft's time passes: nobody stands for
// the lead before it may.
func (r *replica) tickBirth() bool {
	b := r.birth
	for _, v := range r.quorum.config.Voters {
		r.post(v.ID, newMessage, nil)
	}
	if b.ticks++; b.ticks == birthTicks {
		r.quorum.logger.Info("not all voters of the new quorum have answered; it begins without them if most of them agree", "answered", len(b.new)+1)
		r.readyToVote()
	}
	return b.ready
}

// meet hears of a node in its birth.
func (r *replica) meet(node int32) {
	switch last, _ := r.storage.LastIndex(); {
	case last > 0:
		r.post(node, existsMessage, nil)
	case r.birth == nil || r.birth.new[node]:
	default:
		r.birth.new[node] = true
		r.post(node, newMessage, nil) // it need not wait until this node asks
		if len(r.birth.new) == len(r.quorum.config.Voters)-1 {
			r.readyToVote()
		}
	}
}

// readyToVote ends the wait. The first of the voters is to lead.
func (r *replica) readyToVote() {
	if !r.birth.ready {
		r.birth.ready = true
		r.standIn = r.turn(r.quorum.config.NodeID)
	}
}

// meantForBirth reports whether a node in its birth may listen to a message. What
// cannot come from another such node says that the cluster exists.
func (r *replica) meantForBirth(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgVote, raftpb.MsgPreVote:
		if m.GetIndex() == 0 {
			return r.birth.ready && m.GetTerm() == 1
		}
	case raftpb.MsgVoteResp, raftpb.MsgPreVoteResp:
		return !m.GetReject() // it would tell of later terms
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
	default:
		return false
	}
	r.comeLate()
	return false
}

// comeLate ends the birth of a node that has learned that the cluster exists.
func (r *replica) comeLate() {
	if r.birth == nil {
		return
	}
	err := r.join(r.birth.directory)
	if err == nil {
		err = r.boot()
	}
	if err != nil {
		r.quorum.refused(r.led, err) // the next message comes soon
		return
	}
	r.quorum.logger.Info("the cluster exists, and this node's disk is new: it votes once the others have agreed on it")
	r.ask()
}

// ask asks whoever leads to be made a voter, where this node is one of those that the
// configuration of all names and the cluster does not know its disk.
func (r *replica) ask() {
	c := r.quorum.config
	me, named := c.staticVoter(c.NodeID)
	if !named || r.votes() || r.storage.directory == ([16]byte{}) {
		return
	}
	me.DirectoryID = r.storage.directory
	body := metadata.Encode(nil, &metadata.VoterJoining{Voter: me})
	for _, v := range c.Voters {
		r.post(v.ID, joinMessage, body)
	}
}

// staticVoter returns the voter of an id that the configuration names without its
// directory, as controller.quorum.voters does.
func (c Config) staticVoter(id int32) (v metadata.Voter, named bool) {
	for _, v := range c.Voters {
		if v.ID == id && v.DirectoryID == ([16]byte{}) {
			return v, true
		}
	}
	return metadata.Voter{}, false
}

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
	new       map[int32]bool // other voters that are as new
	ticks     int            // that it has lasted
	ready     bool           // to vote and to stand
}

// birthTicks is how long others are waited for that do not answer.
const birthTicks = 3 * ticksPerElection

func newBirth(directory [16]byte) *birth {
	return &birth{directory: directory, new: map[int32]bool{}}
}

// all reports whether each of so many voters is as new.
func (b *birth) all(voters int) bool { return len(b.new) == voters-1 }

// tickBirth asks the others, and reports whether raft's time passes: nobody stands for
// the lead before it may.
func (r *replica) tickBirth() bool {
	b := r.birth
	r.sayNew()
	if b.ticks++; b.ticks == birthTicks {
		r.quorum.logger.Info("not all voters of the new quorum have answered; it begins without them if most of them agree", "answered", len(b.new)+1)
		r.readyToVote()
	}
	return b.ready
}

// sayNew tells the other voters that this node is new, and whether all are.
func (r *replica) sayNew() {
	body := []byte{0}
	if r.birth.all(len(r.quorum.config.Voters)) {
		body[0] = 1
	}
	for _, v := range r.quorum.config.Voters {
		r.post(v.ID, newMessage, body)
	}
}

// meet hears of a node in its birth, which may know that all are.
func (r *replica) meet(node int32, all bool) {
	if last, _ := r.storage.LastIndex(); last > 0 {
		r.post(node, existsMessage, nil)
		return
	}
	b := r.birth
	if b == nil || b.new[node] && (b.ready || !all) {
		return
	}
	b.new[node] = true
	for _, v := range r.quorum.config.Voters {
		if all && v.ID != r.quorum.config.NodeID {
			b.new[v.ID] = true
		}
	}
	r.sayNew() // nobody need wait until this node asks
	if b.all(len(r.quorum.config.Voters)) {
		r.readyToVote()
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
	r.hearOfCluster()
	return r.birth == nil
}

// hearOfCluster ends the birth of a node that has learned that the cluster exists. If
// all were new a moment ago, it has begun with this node, which has promised nothing.
func (r *replica) hearOfCluster() {
	if r.birth == nil {
		return
	}
	founder := r.birth.all(len(r.quorum.config.Voters))
	err := r.endBirth(founder)
	if err != nil {
		r.quorum.refused(r.led, err) // the next message comes soon
	}
	if err != nil || founder {
		return
	}
	r.quorum.logger.Info("the cluster exists, and this node's disk is new: it votes once the others have agreed on it")
	r.ask()
}

func (r *replica) endBirth(founder bool) error {
	if founder {
		err := r.storage.saveHard(r.storage.hard)
		if err == nil {
			r.birth = nil
		}
		return err
	}
	if err := r.join(r.birth.directory); err != nil {
		return err
	}
	return r.boot()
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

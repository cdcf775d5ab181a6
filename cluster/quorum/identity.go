package quorum

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// A voter is a node with its disk: what it promised, and what it said that it has,
// is gone with the disk. Raft knows a voter by a number, 0 is nobody. The lower half
// of ours is the node's id plus one, the upper half is made of the directory's id: a
// node whose disk is a new one is another voter to raft, and none until the others
// have agreed on it. A zero directory id is that which the node had first, where the
// cluster began without knowing it.
func raftID(node int32, directory [16]byte) uint64 {
	if directory == ([16]byte{}) {
		return uint64(uint32(node) + 1)
	}
	h := fnv.New32a()
	h.Write(directory[:])
	return uint64(max(h.Sum32(), 1))<<32 | uint64(uint32(node)+1)
}

func raftIDOf(v metadata.Voter) uint64 { return raftID(v.ID, v.DirectoryID) }

func nodeOf(id uint64) int32 { return int32(uint32(id)) - 1 }

// identify finds out as whom this node takes part, and with whom it begins. own is
// the id of its folder.
func (r *replica) identify(own [16]byte) error {
	st, c := r.storage, r.quorum.config
	if st.tookPart() {
		if st.voters == nil && begins(c, st.directory) {
			st.voters = confState(c.Voters, nil)
		}
		r.become(st.directory)
		return nil
	}
	me := slices.IndexFunc(c.Voters, func(v metadata.Voter) bool { return v.ID == c.NodeID })
	switch {
	case begins(c, own):
		st.voters = confState(c.Voters, nil)
		r.become(c.Voters[me].DirectoryID)
		return nil
	case own == ([16]byte{}):
		return errors.New("its folder has no id: several nodes can vote only with folders that were formatted")
	case me >= 0 && c.Voters[me].DirectoryID == ([16]byte{}):
		st.voters = confState(c.Voters, nil)
		r.become([16]byte{})
		r.birth = newBirth(own)
		return nil
	}
	return r.join(own)
}

// begins reports whether a cluster begins with this node and its directory, whatever
// the others say: it is named with that, or is the only one.
func begins(c Config, directory [16]byte) bool {
	return slices.ContainsFunc(c.Voters, func(v metadata.Voter) bool {
		return v.ID == c.NodeID && (v.DirectoryID == directory || len(c.Voters) == 1)
	})
}

// become sets as whom this node takes part.
func (r *replica) become(directory [16]byte) {
	r.storage.directory = directory
	r.id = raftID(r.quorum.config.NodeID, directory)
	if r.storage.voters == nil {
		r.storage.voters = &raftpb.ConfState{}
	}
}

// join makes this node one that has no vote before the others have agreed that it
// has. It must not forget that: it may have had one, before it lost its disk.
func (r *replica) join(own [16]byte) error {
	if err := r.journal.saveVote(&raftpb.HardState{}, own); err != nil {
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	r.storage.voters, r.birth = nil, nil
	r.become(own)
	return nil
}

// isOld reports whether a leader knows that this node had more than it has, so that
// its folder is one of some time ago.
func (r *replica) isOld(m *raftpb.Message) bool {
	last, _ := r.storage.LastIndex()
	return m.GetType() == raftpb.MsgHeartbeat && m.GetTerm() >= r.storage.hard.GetTerm() && m.GetCommit() > last
}

// startOver makes a node with a folder of some time ago another voter, which has made
// no promises: those of the one that it was are not all in the folder.
func (r *replica) startOver() error {
	const what = "the folder is one of some time ago, as from a backup: what this node has said since is not in it"
	if _, named := r.quorum.config.staticVoter(r.quorum.config.NodeID); !named {
		return errors.New(what + "; remove it from the voters, format the folder anew, and add it")
	}
	h := &raftpb.HardState{Term: r.storage.hard.Term, Commit: r.storage.hard.Commit}
	fresh := protocol.NewTopicID()
	if err := r.journal.saveVote(h, fresh); err != nil {
		return fmt.Errorf("begin anew as a voter: %w", err)
	}
	r.quorum.logger.Warn(what+"; it votes again once the others have agreed on it", "end", r.delivered)
	r.storage.hard = h
	r.become(fresh)
	r.led.id = -1
	r.quorum.lead(r.led, errLeadLost)
	return errors.Join(r.storage.SetHardState(h), r.boot())
}

// votes reports whether this node has a vote, as far as it knows.
func (r *replica) votes() bool { return slices.Contains(r.storage.voters.GetVoters(), r.id) }

// votesAlone reports whether this node has the only vote.
func (r *replica) votesAlone() bool { return len(r.storage.voters.GetVoters()) == 1 && r.votes() }

// adopt makes the voters that the first decision names those of raft. Where a node
// was there from the beginning, they are already.
func (r *replica) adopt(founders []metadata.Voter) {
	named := confState(founders, nil).GetVoters()
	for _, id := range named {
		if !slices.Contains(r.storage.voters.GetVoters(), id) {
			r.changeVoter(id, raftpb.ConfChangeAddNode)
		}
	}
	for _, id := range slices.Clone(r.storage.voters.GetVoters()) {
		if !slices.Contains(named, id) {
			r.changeVoter(id, raftpb.ConfChangeRemoveNode)
		}
	}
}

func (r *replica) changeVoter(id uint64, how raftpb.ConfChangeType) {
	one := &raftpb.ConfChangeSingle{Type: how.Enum(), NodeId: proto.Uint64(id)}
	r.storage.voters = r.node.ApplyConfChange(&raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{one}})
}

// foundersIn returns the voters that a decision begins a cluster with, nil where it
// is none that does.
func foundersIn(records []metadata.Record) []metadata.Voter {
	if len(records) == 0 {
		return nil
	}
	if _, begins := records[0].(*metadata.ClusterNamed); !begins {
		return nil
	}
	var founders []metadata.Voter
	for _, r := range records {
		if r, is := r.(*metadata.VoterAdded); is {
			founders = append(founders, r.Voter)
		}
	}
	return founders
}

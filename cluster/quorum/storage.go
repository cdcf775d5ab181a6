package quorum

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// storage is what raft reads: the entries since the newest snapshot, in memory,
// each of them also in the journal; and what it must not forget of votes.
type storage struct {
	*raft.MemoryStorage
	journal *journal
	hard    *raftpb.HardState // as it is on the disk, but for its commit
	voters  *raftpb.ConfState // as of the last committed change
}

// openStorage reads the journal behind the snapshot that led to s.
func openStorage(j *journal, s *state, voters []metadata.Voter) (*storage, error) {
	st := &storage{MemoryStorage: raft.NewMemoryStorage(), journal: j, voters: confState(voters)}
	snapshot := &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &s.index, Term: &s.term, ConfState: st.voters}}
	if err := st.ApplySnapshot(snapshot); err != nil {
		return nil, err
	}
	var entries []*raftpb.Entry
	err := j.replay(s.index, func(index, term uint64, decision []byte) error {
		e, err := entryOf(index, term, decision)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := st.MemoryStorage.Append(entries); err != nil {
		return nil, err
	}
	if st.hard, err = j.loadVote(); err != nil {
		return nil, err
	}
	// Only the commit may be ahead of what is there: it is written for its own sake.
	last, _ := st.LastIndex()
	st.hard.Commit = proto.Uint64(min(max(st.hard.GetCommit(), s.index), last))
	st.hard.Term = proto.Uint64(max(st.hard.GetTerm(), s.term, lastTerm(entries)))
	return st, st.SetHardState(st.hard)
}

func lastTerm(entries []*raftpb.Entry) uint64 {
	if len(entries) == 0 {
		return 0
	}
	return entries[len(entries)-1].GetTerm()
}

func confState(voters []metadata.Voter) *raftpb.ConfState {
	c := &raftpb.ConfState{}
	for _, v := range voters {
		c.Voters = append(c.Voters, raftID(v.ID))
	}
	return c
}

// entryOf makes raft's entry of a decision. One that is a change of the voters and
// nothing else is a change for raft too.
func entryOf(index, term uint64, decision []byte) (*raftpb.Entry, error) {
	e := &raftpb.Entry{Index: &index, Term: &term, Data: decision}
	records, err := metadata.DecodeDecision(decision)
	if err != nil {
		return nil, fmt.Errorf("decision at offset %d: %w", index-1, err)
	}
	if len(records) != 1 {
		return e, nil
	}
	switch records[0].(type) {
	case *metadata.VoterAdded, *metadata.VoterRemoved:
		e.Type = raftpb.EntryConfChangeV2.Enum()
		e.Data, err = proto.Marshal(voterChange(records[0], decision))
	}
	return e, err
}

// setHard keeps votes and terms; that something was committed may be forgotten.
func (st *storage) setHard(h *raftpb.HardState) error {
	if h.GetTerm() != st.hard.GetTerm() || h.GetVote() != st.hard.GetVote() {
		if err := st.journal.saveVote(h); err != nil {
			return fmt.Errorf("%w: %w", errNotWritten, err)
		}
	}
	st.hard = h
	return st.SetHardState(h)
}

// append makes entries durable, in place of those from their first index on.
func (st *storage) append(entries []*raftpb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := st.journal.write(entries); err != nil {
		return err
	}
	return st.MemoryStorage.Append(entries)
}

// Snapshot returns the newest snapshot for a voter that lags, from its file.
func (st *storage) Snapshot() (*raftpb.Snapshot, error) {
	snapshot, err := st.MemoryStorage.Snapshot()
	if err != nil {
		return nil, err
	}
	if snapshot.Data, err = st.journal.readSnapshot(snapshot.GetMetadata().GetIndex()); err != nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return snapshot, nil
}

// compact lets go of the entries that a snapshot of s stands in for.
func (st *storage) compact(s *state) {
	if first, _ := st.FirstIndex(); s.index < first {
		return
	}
	var voters []metadata.Voter
	for v := range s.image.Voters() {
		voters = append(voters, *v)
	}
	if _, err := st.CreateSnapshot(s.index, confState(voters), nil); err == nil {
		_ = st.Compact(s.index) // it is after the last one, and was applied
	}
}

// InitialState is what raft starts from: also anew, when entries since the
// snapshot have changed the voters.
func (st *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return st.hard, st.voters, nil
}

// install begins anew at a snapshot of the leader's.
func (st *storage) install(snapshot *raftpb.Snapshot) error {
	st.voters = snapshot.GetMetadata().GetConfState()
	return st.ApplySnapshot(&raftpb.Snapshot{Metadata: snapshot.GetMetadata()})
}

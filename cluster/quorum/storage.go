package quorum

import (
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/internal/breakage"
)

// storage is what raft reads: the entries since the newest snapshot, in memory,
// each of them also in the journal; and what it must not forget of votes.
type storage struct {
	*raft.MemoryStorage
	journal   *journal
	current   func() *state     // where the cluster stands, which lags behind what is committed
	hard      *raftpb.HardState // as it is on the disk, but for its commit
	directory [16]byte          // of this node as a voter
	promised  bool              // there is a file with a vote, or that this node has none
	voters    *raftpb.ConfState // as of the last committed change; nil until it is known
	changed   uint64            // index of that change
}

// openStorage reads the journal behind the snapshot that current was loaded from.
func openStorage(j *journal, current func() *state) (*storage, error) {
	s := current()
	st := &storage{MemoryStorage: raft.NewMemoryStorage(), journal: j, current: current}
	if voters := votersOf(s.image, nil); len(voters) > 0 {
		st.voters, st.changed = confStateOf(s.image), s.index
	}
	snapshot := &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &s.index, Term: &s.term, ConfState: st.voters}}
	if err := st.ApplySnapshot(snapshot); err != nil {
		return nil, err
	}
	entries, err := st.readEntries(s.index)
	if err != nil {
		return nil, err
	}
	if st.hard, st.directory, st.promised, err = j.loadVote(); err != nil {
		return nil, err
	}
	// Only the commit may be ahead of what is there: it is written for its own sake.
	last, _ := st.LastIndex()
	st.hard.Commit = proto.Uint64(min(max(st.hard.GetCommit(), s.index), last))
	st.hard.Term = proto.Uint64(max(st.hard.GetTerm(), s.term, lastTerm(entries)))
	return st, st.SetHardState(st.hard)
}

// readEntries reads the journal behind an index. If the cluster begins there, it
// begins with the voters that its first decision names.
func (st *storage) readEntries(after uint64) (entries []*raftpb.Entry, err error) {
	err = st.journal.replay(after, func(index, term uint64, decision []byte) error {
		records, err := metadata.DecodeDecision(decision)
		if err != nil {
			return fmt.Errorf("decision at offset %d: %w", index-1, err)
		}
		if founders := foundersIn(records); founders != nil && st.voters == nil {
			st.voters = confState(founders, nil)
		}
		e, err := entryOf(index, term, decision, records)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, st.MemoryStorage.Append(entries)
}

// tookPart reports whether this node has promised or written anything with the disk
// that it has.
func (st *storage) tookPart() bool {
	last, _ := st.LastIndex()
	return st.promised || last > 0
}

func lastTerm(entries []*raftpb.Entry) uint64 {
	if len(entries) == 0 {
		return 0
	}
	return entries[len(entries)-1].GetTerm()
}

// confState is who votes, and who only listens until it does.
func confState(voters, joining []metadata.Voter) *raftpb.ConfState {
	c := &raftpb.ConfState{}
	for _, v := range voters {
		c.Voters = append(c.Voters, raftIDOf(v))
	}
	for _, v := range joining {
		c.Learners = append(c.Learners, raftIDOf(v))
	}
	return c
}

func confStateOf(img *metadata.Image) *raftpb.ConfState {
	var joining []metadata.Voter
	for v := range img.Joining() {
		joining = append(joining, *v)
	}
	return confState(votersOf(img, nil), joining)
}

// entryOf makes raft's entry of a decision, which consists of the given records. One
// that is a change of the voters and nothing else is a change for raft too.
func entryOf(index, term uint64, decision []byte, records []metadata.Record) (e *raftpb.Entry, err error) {
	e = &raftpb.Entry{Index: &index, Term: &term, Data: decision}
	if change := voterChange(records, decision); change != nil {
		e.Type = raftpb.EntryConfChangeV2.Enum()
		e.Data, err = proto.Marshal(change)
	}
	return e, err
}

// setHard keeps votes and terms; that something was committed may be forgotten.
func (st *storage) setHard(h *raftpb.HardState) error {
	if (h.GetTerm() != st.hard.GetTerm() || h.GetVote() != st.hard.GetVote()) && !breakage.Is(breakage.ForgottenVote) {
		if err := st.saveHard(h); err != nil {
			return err
		}
	}
	st.hard = h
	return st.SetHardState(h)
}

func (st *storage) saveHard(h *raftpb.HardState) error {
	if err := st.journal.saveVote(h, st.directory); err != nil {
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	st.promised = true
	return nil
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

// Snapshot returns where the cluster stands, for a voter that lags. It must know
// that voter, so a change of the voters is waited for.
func (st *storage) Snapshot() (*raftpb.Snapshot, error) {
	s := st.current()
	if s.index < st.changed {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	data, err := encodeSnapshot(s)
	if err != nil {
		return nil, fmt.Errorf("encode a snapshot: %w", err)
	}
	return &raftpb.Snapshot{Data: data, Metadata: &raftpb.SnapshotMetadata{Index: &s.index, Term: &s.term, ConfState: confStateOf(s.image)}}, nil
}

// compact lets go of the entries that a snapshot of s stands in for.
func (st *storage) compact(s *state) {
	if first, _ := st.FirstIndex(); s.index < first {
		return
	}
	if _, err := st.CreateSnapshot(s.index, confStateOf(s.image), nil); err == nil {
		_ = st.Compact(s.index) // it is after the last one, and was applied
	}
}

// eachBehind calls f for the entries behind an index.
func (st *storage) eachBehind(index uint64, f func(*raftpb.Entry)) error {
	last, _ := st.LastIndex()
	if index >= last {
		return nil
	}
	entries, err := st.Entries(index+1, last+1, math.MaxUint64)
	for _, e := range entries {
		f(e)
	}
	return err
}

// InitialState is what raft starts from: also anew, when entries since the
// snapshot have changed the voters.
func (st *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return st.hard, st.voters, nil
}

// install begins anew at a snapshot of the leader's.
func (st *storage) install(snapshot *raftpb.Snapshot) error {
	st.voters, st.changed = snapshot.GetMetadata().GetConfState(), snapshot.GetMetadata().GetIndex()
	return st.ApplySnapshot(&raftpb.Snapshot{Metadata: snapshot.GetMetadata()})
}

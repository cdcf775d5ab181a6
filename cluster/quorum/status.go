package quorum

import (
	"fmt"

	"go.etcd.io/raft/v3"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Status is how far the quorum is, as its leader sees it.
type Status struct {
	Leader, Epoch int32
	HighWatermark int64         // offset that the next decision gets that most voters have
	Voters        []VoterStatus // sorted by id
}

// VoterStatus is how far the log of a voter reaches.
type VoterStatus struct {
	ID          int32
	DirectoryID [16]byte // zero where it is not known
	LogEnd      int64    // offset
}

// Status describes the quorum where this node leads it; elsewhere the error is
// NOT_LEADER_FOR_PARTITION.
func (q *Quorum) Status() (Status, error) {
	ask := make(chan raft.Status, 1)
	select {
	case q.replica.asks <- ask:
	case <-q.closed:
		return Status{}, errStopping
	}
	return q.statusOf(<-ask)
}

// statusOf puts raft's words into Kafka's: an entry's offset is its index less one,
// so the index of the last entry is the end of the log.
func (q *Quorum) statusOf(s raft.Status) (Status, error) {
	if s.RaftState != raft.StateLeader {
		return Status{}, fmt.Errorf("node %d leads the quorum, as far as this one knows: %w", nodeOf(s.Lead), kerr.NotLeaderForPartition)
	}
	told := Status{Leader: q.config.NodeID, Epoch: int32(s.HardState.GetTerm()), HighWatermark: int64(s.HardState.GetCommit())}
	for _, v := range q.Voters() {
		told.Voters = append(told.Voters, VoterStatus{ID: v.ID, DirectoryID: v.DirectoryID, LogEnd: int64(s.Progress[raftID(v.ID)].Match)})
	}
	return told, nil
}

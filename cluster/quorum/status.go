package quorum

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/node"
)

// Status is how far the quorum is, as its leader sees it.
type Status struct {
	Leader, Epoch int32
	HighWatermark int64     // offset that the next decision gets that most voters have
	Voters        []Reached // sorted by id
	Observers     []Reached // nodes that do not vote and have read lately, sorted by id
}

// Reached is how far a node is, as the leader has heard from it.
type Reached struct {
	ID          int32
	DirectoryID [16]byte // of the folder that has its metadata; zero where that is not known
	LogEnd      int64    // offset
	// LastHeard is when the node was heard of last, and LastCaughtUp when it had all
	// that the leader had; zero where that was not since this node leads.
	LastHeard, LastCaughtUp time.Time
}

// Status describes the quorum where this node leads it; elsewhere the error is
// NOT_LEADER_FOR_PARTITION.
func (q *Quorum) Status() (Status, error) {
	s, err := q.askRaft()
	if err != nil {
		return Status{}, err
	}
	return q.statusOf(s)
}

// askRaft returns what raft says of itself.
func (q *Quorum) askRaft() (raftStatus, error) {
	ask := make(chan raftStatus, 1)
	select {
	case q.replica.asks <- ask:
		return <-ask, nil
	case <-q.closed:
		return raftStatus{}, errStopping
	}
}

// raftStatus is what raft says of itself, and when the others were heard of.
type raftStatus struct {
	raft.Status
	heard map[uint64]heard
}

// statusOf puts raft's words into Kafka's: an entry's offset is its index less one,
// so the index of the last entry is the end of the log.
func (q *Quorum) statusOf(s raftStatus) (Status, error) {
	if s.RaftState != raft.StateLeader {
		return Status{}, fmt.Errorf("node %d leads the quorum, as far as this one knows: %w", nodeOf(s.Lead), kerr.NotLeaderForPartition)
	}
	now := time.Now()
	told := Status{Leader: q.config.NodeID, Epoch: int32(s.HardState.GetTerm()), HighWatermark: int64(s.HardState.GetCommit())}
	for _, v := range q.Voters() {
		heard := s.heard[raftIDOf(v)]
		if v.ID == q.config.NodeID {
			heard.last, heard.caughtUp = now, now
		}
		told.Voters = append(told.Voters, Reached{
			ID: v.ID, DirectoryID: v.DirectoryID, LogEnd: int64(s.Progress[raftIDOf(v)].Match), LastHeard: heard.last, LastCaughtUp: heard.caughtUp,
		})
	}
	told.Observers = slices.DeleteFunc(q.reads.recent(now), func(o Reached) bool {
		return slices.ContainsFunc(told.Voters, func(v Reached) bool { return v.ID == o.ID })
	})
	return told, nil
}

// heard is when a voter was heard of by the leader.
type heard struct{ last, caughtUp time.Time }

// hear notes that a voter was heard of, after raft was told what it said.
func (r *replica) hear(from uint64) {
	if r.led.id != r.quorum.config.NodeID {
		return
	}
	h := heard{last: time.Now(), caughtUp: r.heard[from].caughtUp}
	last, _ := r.storage.LastIndex()
	r.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id == from && p.Match >= last {
			h.caughtUp = h.last
		}
	})
	r.heard[from] = h
}

// readsKept is for how long a node that reads no more is still an observer.
const readsKept = 5 * time.Minute

// reads are when observers have read, and what.
type reads struct {
	mu   sync.Mutex
	last map[int32]Reached // guarded by mu
}

func newReads() *reads { return &reads{last: map[int32]Reached{}} }

// note keeps what a read says: its node has all up to the index that it names.
func (r *reads) note(req *node.ReadMetadataRequest, end int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := Reached{ID: req.NodeID, DirectoryID: req.DirectoryID, LogEnd: req.Index, LastHeard: now, LastCaughtUp: r.last[req.NodeID].LastCaughtUp}
	if req.Index >= end {
		is.LastCaughtUp = now
	}
	r.last[req.NodeID] = is
}

// recent returns who has read lately, and forgets the others.
func (r *reads) recent(now time.Time) []Reached {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Reached
	for id, is := range r.last {
		if now.Sub(is.LastHeard) > readsKept {
			delete(r.last, id)
			continue
		}
		all = append(all, is)
	}
	slices.SortFunc(all, func(a, b Reached) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

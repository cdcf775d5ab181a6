package quorum

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/node"
)

// mostReadBytes bounds the entries of one answer, whatever is asked for. The first
// one comes whatever its size.
const mostReadBytes = 8 << 20

// ReadMetadata serves an [Observer]: it answers with what was decided after the
// entry that the request names. Where there is nothing it waits as long as the
// request allows, or until there is another leader or ctx ends. Errors are in the
// answer.
func (q *Quorum) ReadMetadata(ctx context.Context, req *node.ReadMetadataRequest) *node.ReadMetadataResponse {
	q.reads.note(req, int64(q.state.Load().index), time.Now())
	resp := new(node.ReadMetadataResponse)
	if err := q.awaitMore(ctx, req); err != nil {
		return q.answer(resp, err)
	}
	return q.answer(resp, q.readAfter(uint64(req.Index), uint64(req.Term), min(max(req.MaxBytes, 0), mostReadBytes), resp))
}

// awaitMore waits until there is something to tell, or the time is over.
func (q *Quorum) awaitMore(ctx context.Context, req *node.ReadMetadataRequest) error {
	wait, cancel := context.WithTimeout(ctx, time.Duration(max(req.MaxWaitMillis, 0))*time.Millisecond)
	defer cancel()
	first := leadership{id: -2}
	err := q.await(wait, "a decision", func() bool {
		if first.id == -2 {
			first = q.leader
		}
		return q.state.Load().index > uint64(req.Index) || q.leader != first
	})
	if wait.Err() != nil {
		return ctx.Err()
	}
	return err
}

// answer completes an answer with who leads and up to where there are decisions.
func (q *Quorum) answer(resp *node.ReadMetadataResponse, err error) *node.ReadMetadataResponse {
	if err != nil {
		text := err.Error()
		resp.ErrorCode, resp.ErrorMessage = protocol.ErrorCode(err), &text
		resp.Entries, resp.Snapshot = nil, nil
	}
	resp.LeaderID, resp.LeaderEpoch = q.Leader()
	resp.HighWatermark = int64(q.state.Load().index)
	return resp
}

// readAfter puts into resp what follows an entry: other entries, or a snapshot
// where the log begins later or has another entry in that place.
func (q *Quorum) readAfter(index, term uint64, most int32, resp *node.ReadMetadataResponse) error {
	s := q.state.Load()
	if index >= s.index && (index > s.index || term == s.term) {
		return nil
	}
	entries, err := q.replica.storage.between(index, term, s.index, uint64(most))
	if err != nil {
		resp.Snapshot, err = encodeSnapshot(s)
		return err
	}
	for _, e := range entries {
		decision, err := decisionOf(e)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		resp.Entries = append(resp.Entries, node.Entry{Index: int64(e.GetIndex()), Term: int64(e.GetTerm()), Decision: decision})
	}
	return nil
}

// between returns entries behind that of the given index and term, up to last. It
// fails where they are not there any more.
func (st *storage) between(index, term, last, most uint64) ([]*raftpb.Entry, error) {
	has, err := st.Term(index)
	if err != nil {
		return nil, err
	}
	if has != term {
		return nil, fmt.Errorf("entry %d is of term %d: %w", index, has, kerr.OffsetOutOfRange)
	}
	return st.Entries(index+1, last+1, most)
}

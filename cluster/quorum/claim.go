package quorum

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// claimRetry is how long a claim that could not be written is waited with.
const claimRetry = 100 * time.Millisecond

// claim says in the metadata that this node decides, each time that raft elects
// it, until ctx ends.
func (q *Quorum) claim(ctx context.Context) {
	claimed := uint64(0) // the term that was
	for {
		q.mu.Lock()
		leader, failed, changed := q.leader, q.failed, q.changed
		q.mu.Unlock()
		if leader.id == q.config.NodeID && leader.term > claimed && failed == nil {
			_, err := q.Propose(ctx, q.claimRecords)
			switch {
			case err == nil:
				claimed = leader.term
				continue
			case ctx.Err() != nil:
				return
			case !errors.Is(err, kerr.NotController):
				q.logger.Error("the lead of the quorum could not be claimed; it is tried again", "err", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(claimRetry):
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// claimRecords is the first decision of a leader: in a new cluster it names the
// cluster and its voters.
func (q *Quorum) claimRecords(img *metadata.Image) ([]metadata.Record, error) {
	var records []metadata.Record
	if img.ClusterID == "" {
		records = append(records, &metadata.ClusterNamed{ClusterID: q.config.ClusterID})
		for _, v := range q.config.Voters {
			records = append(records, &metadata.VoterAdded{Voter: v})
		}
	}
	if img.ControllerID != q.config.NodeID {
		records = append(records, &metadata.ControllerElected{BrokerID: q.config.NodeID})
	}
	return records, nil
}

// AwaitLead waits until this node leads the quorum, has in its image all that
// earlier leaders decided, and is named there as the one that decides. It returns
// in which epoch that is.
func (q *Quorum) AwaitLead(ctx context.Context) (epoch int32, err error) {
	err = q.await(ctx, "the lead of the quorum", func() bool {
		epoch = int32(q.leader.term)
		return q.claimed()
	})
	return epoch, err
}

// decides reports whether AwaitLead would not wait.
func (q *Quorum) decides() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.claimed()
}

// claimed reports whether this node leads, and the metadata says so. The caller holds
// mu.
func (q *Quorum) claimed() bool { return q.leads() && q.Image().ControllerID == q.config.NodeID }

// leads reports whether this node leads and has applied all that was decided
// before. The caller holds mu.
func (q *Quorum) leads() bool {
	return q.leader.id == q.config.NodeID && q.state.Load().term == q.leader.term
}

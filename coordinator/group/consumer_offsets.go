package group

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// commitCheck reports why a member may not commit for a partition.
type commitCheck func(topic string, partition int32) error

func anyPartition(string, int32) error { return nil }

// mayCommit holds who may commit offsets of a consumer group: a member at its
// epoch; at an older one only for what it has had since then, so that a commit
// that was under way while the epoch changed is not lost.
func (c *Coordinator) mayCommitAs(g *consumerGroup, who committer) (commitCheck, error) {
	if who.epoch < 0 && len(g.members) == 0 || who.transactional && who.anonymous() {
		return anyPartition, nil
	}
	m := g.members[who.member]
	switch {
	case m == nil:
		return nil, kerr.UnknownMemberID
	case !who.transactional && m.classic == nil && who.version < 9:
		return nil, kerr.UnsupportedVersion
	case who.epoch == m.epoch:
		return anyPartition, nil
	case who.epoch > m.epoch:
		return nil, m.stale(who.epoch)
	}
	return func(topic string, partition int32) error {
		t, found := c.cluster.Topic(topic)
		since, held := m.assigned[t.ID][partition]
		if !held {
			since, held = m.revoking[t.ID][partition]
		}
		if !found || !held || who.epoch < since {
			return m.stale(who.epoch)
		}
		return nil
	}, nil
}

// committer is who a client says it is when it commits.
type committer struct {
	member        string
	instanceID    *string
	epoch         int32 // member epoch, or generation of a classic member
	transactional bool
	version       int16 // of OffsetCommit
}

func (w committer) anonymous() bool { return w.epoch == -1 && w.member == "" && w.instanceID == nil }

func (m *consumerMember) stale(epoch int32) error {
	if m.classic != nil {
		return kerr.IllegalGeneration
	}
	return fmt.Errorf("member %s is at epoch %d, not %d: %w", m.id, m.epoch, epoch, kerr.StaleMemberEpoch)
}

// MayFetch reports why a client may not ask for what a group committed: one that
// names a member must be it, at its epoch.
func (c *Coordinator) MayFetch(id string, memberID *string, epoch int32) error {
	g := c.groups[id]
	if g == nil || g.consumer == nil || memberID == nil && epoch < 0 {
		return nil
	}
	var m *consumerMember
	if memberID != nil {
		m = g.consumer.members[*memberID]
	}
	switch {
	case m == nil:
		return kerr.UnknownMemberID
	case m.epoch != epoch:
		return m.stale(epoch)
	}
	return nil
}

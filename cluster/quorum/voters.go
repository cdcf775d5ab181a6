package quorum

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

const (
	// catchUpInterval is how often the leader looks whether a node that joins has all.
	catchUpInterval = 20 * time.Millisecond
	// admitTimeout is how long a node that asks for a vote may take to get all that
	// was decided. It asks again.
	admitTimeout = 30 * time.Second
	// withdrawTimeout is how long it is tried to let go of a node that did not.
	withdrawTimeout = time.Second
)

// AddVoter lets a node vote, where this node leads: at first it is told what is
// decided, and when it has all it votes. ctx bounds the wait for that; a node that
// does not get so far stays without a vote.
//
// The errors are those of Kafka's AddRaftVoter: DUPLICATE_VOTER where a node of that id
// votes, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT.
func (q *Quorum) AddVoter(ctx context.Context, v metadata.Voter) error {
	if err := q.takeChange(ctx); err != nil {
		return err
	}
	defer func() { q.change <- struct{}{} }()
	return q.addVoter(ctx, v)
}

// RemoveVoter takes the vote away from a node, where this node leads. It may be this
// node: then another one leads from here on. A node that joins is let go too.
//
// The errors are those of Kafka's RemoveRaftVoter: VOTER_NOT_FOUND where no such node
// votes, or no other, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT.
func (q *Quorum) RemoveVoter(ctx context.Context, id int32, directory [16]byte) error {
	if err := q.takeChange(ctx); err != nil {
		return err
	}
	defer func() { q.change <- struct{}{} }()
	return q.removeVoter(ctx, id, directory)
}

// takeChange waits until no other voter is being changed.
func (q *Quorum) takeChange(ctx context.Context) error {
	if err := q.requireLead(); err != nil {
		return err
	}
	select {
	case <-q.change:
		return nil
	case <-q.closed:
		return errStopping
	case <-ctx.Done():
		return fmt.Errorf("wait until another voter is added or removed: %w: %w", context.Cause(ctx), kerr.RequestTimedOut)
	}
}

func (q *Quorum) requireLead() error {
	if leader, _ := q.Leader(); leader != q.config.NodeID {
		return fmt.Errorf("node %d leads the quorum, as far as this one knows: %w", leader, kerr.NotLeaderForPartition)
	}
	return nil
}

// addVoter adds a voter. The caller holds the turn to change voters.
func (q *Quorum) addVoter(ctx context.Context, v metadata.Voter) error {
	if was, joins := q.Image().JoiningVoter(v.ID); joins && was.DirectoryID != v.DirectoryID {
		if err := q.removeVoter(ctx, v.ID, was.DirectoryID); err != nil {
			return err
		}
	}
	_, err := q.Propose(ctx, func(img *metadata.Image) ([]metadata.Record, error) {
		if _, votes := img.Voter(v.ID); votes {
			return nil, fmt.Errorf("node %d votes already: %w", v.ID, kerr.DuplicateVoter)
		}
		return []metadata.Record{&metadata.VoterJoining{Voter: v}}, nil
	})
	if err != nil {
		return ofLeader(err)
	}
	if err := q.awaitCaughtUp(ctx, v); err != nil {
		q.withdraw(v)
		return err
	}
	if _, err := q.Propose(ctx, func(*metadata.Image) ([]metadata.Record, error) {
		return []metadata.Record{&metadata.VoterAdded{Voter: v}}, nil
	}); err != nil {
		return ofLeader(err)
	}
	q.logger.Info("a node votes on the metadata", "node", v.ID)
	return nil
}

// awaitCaughtUp waits until a node that joins has all that was decided a moment ago.
func (q *Quorum) awaitCaughtUp(ctx context.Context, v metadata.Voter) error {
	look := time.NewTicker(catchUpInterval)
	defer look.Stop()
	decided := uint64(0)
	for {
		s, err := q.askRaft()
		if err != nil {
			return err
		}
		p := s.Progress[raftIDOf(v)]
		switch {
		case s.Progress == nil:
			return ofLeader(errLeadLost)
		case decided > 0 && p.Match >= decided:
			return nil
		case decided == 0 || p.Match < decided && p.RecentActive:
			decided = s.HardState.GetCommit()
		}
		select {
		case <-look.C:
		case <-q.closed:
			return errStopping
		case <-ctx.Done():
			return fmt.Errorf("node %d, at %s, did not get all that was decided in time; see that it runs, is reached there, and has the directory %s: %w: %w",
				v.ID, reachedAt(v), protocol.TopicID(v.DirectoryID), context.Cause(ctx), kerr.RequestTimedOut)
		}
	}
}

// reachedAt is where a voter is said to listen.
func reachedAt(v metadata.Voter) string {
	var at []string
	for _, e := range v.Endpoints {
		at = append(at, net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
	}
	return strings.Join(at, ", ")
}

// withdraw lets go of a node that joins. Where that fails it goes on to be told what
// is decided, which does no harm.
func (q *Quorum) withdraw(v metadata.Voter) {
	ctx, cancel := context.WithTimeout(context.Background(), withdrawTimeout)
	defer cancel()
	if err := q.removeVoter(ctx, v.ID, v.DirectoryID); err != nil {
		q.logger.Warn("a node that could not be made a voter is told of decisions still", "node", v.ID, "err", err)
	}
}

// removeVoter removes a voter or a node that joins. The caller holds the turn to
// change voters.
func (q *Quorum) removeVoter(ctx context.Context, id int32, directory [16]byte) error {
	_, err := q.Propose(ctx, func(img *metadata.Image) ([]metadata.Record, error) {
		if !takesPart(img, id, directory) {
			return nil, fmt.Errorf("node %d does not vote with that directory: %w", id, kerr.VoterNotFound)
		}
		if voters := votersOf(img, nil); len(voters) == 1 && voters[0].ID == id {
			return nil, fmt.Errorf("node %d is the only voter: %w", id, kerr.VoterNotFound)
		}
		return []metadata.Record{&metadata.VoterRemoved{ID: id, DirectoryID: directory}}, nil
	})
	if id == q.config.NodeID && errors.Is(err, errLeadLost) {
		err = q.awaitRemoved(ctx, id, directory)
	}
	if err != nil {
		return ofLeader(err)
	}
	q.logger.Info("a node votes no more on the metadata", "node", id)
	return nil
}

func takesPart(img *metadata.Image, id int32, directory [16]byte) bool {
	voter, votes := img.Voter(id)
	joining, joins := img.JoiningVoter(id)
	return votes && voter.DirectoryID == directory || joins && joining.DirectoryID == directory
}

// awaitRemoved waits until this node has seen that it was removed: with that it has
// lost the lead.
func (q *Quorum) awaitRemoved(ctx context.Context, id int32, directory [16]byte) error {
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	return q.await(ctx, "the removal of this node", func() bool { return !takesPart(q.Image(), id, directory) })
}

// ofLeader says it as the APIs of voters do that another node leads.
func ofLeader(err error) error {
	if errors.Is(err, kerr.NotController) {
		return fmt.Errorf("%s: %w", err.Error(), kerr.NotLeaderForPartition)
	}
	return err
}

// admitAll takes in nodes that ask for a vote, until ctx ends.
func (q *Quorum) admitAll(ctx context.Context) {
	for {
		select {
		case v := <-q.replica.joins:
			if err := q.admit(ctx, v); err != nil && ctx.Err() == nil {
				q.logger.Warn("a node could not be made a voter; it asks again", "node", v.ID, "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// admit makes a node a voter that is one by the configuration, and whose disk the
// cluster does not know: it has come late, or has lost its disk. The voter that it was
// goes, unless that one is still there.
func (q *Quorum) admit(ctx context.Context, v metadata.Voter) error {
	if _, named := q.config.staticVoter(v.ID); !named {
		return errors.New("the configuration of this node does not name it among the voters")
	}
	ctx, cancel := context.WithTimeout(ctx, admitTimeout)
	defer cancel()
	if !q.decides() {
		return nil // it asks again when the first decision of this node is taken
	}
	if err := q.takeChange(ctx); err != nil {
		return err
	}
	defer func() { q.change <- struct{}{} }()
	was, votes := q.Image().Voter(v.ID)
	if votes && was.DirectoryID == v.DirectoryID {
		return nil
	}
	if votes {
		if err := q.requireSilent(*was); err != nil {
			return err
		}
		if err := q.removeVoter(ctx, was.ID, was.DirectoryID); err != nil {
			return err
		}
	}
	return q.addVoter(ctx, v)
}

// requireSilent refuses where a voter was heard of lately.
func (q *Quorum) requireSilent(v metadata.Voter) error {
	s, err := q.askRaft()
	if err == nil && time.Since(s.heard[raftIDOf(v)].last) < q.config.ElectionTimeout {
		err = fmt.Errorf("two processes are node %d, each with a disk of its own: end one of them", v.ID)
	}
	return err
}

// Endpoints are where the controller of another voter listens, or of a node that is to
// vote: nil where that is not known. What the configuration of all nodes
// says goes before what was agreed.
func (q *Quorum) Endpoints(node int32) []metadata.Endpoint {
	if v, named := q.config.staticVoter(node); named && len(v.Endpoints) > 0 {
		return v.Endpoints
	}
	img := q.Image()
	if v, votes := img.Voter(node); votes {
		return v.Endpoints
	}
	if v, joins := img.JoiningVoter(node); joins {
		return v.Endpoints
	}
	for _, v := range q.config.Voters {
		if v.ID == node {
			return v.Endpoints
		}
	}
	return nil
}

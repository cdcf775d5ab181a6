package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol/node"
)

// ObserverConfig is how an [Observer] follows. What is zero takes its default.
type ObserverConfig struct {
	NodeID    int32
	ClusterID string
	// DirectoryID is that of the folder that would have the metadata if the node voted.
	DirectoryID [16]byte
	// Voters are asked until the metadata says who votes. Their ids may be any
	// numbers by which Read knows them.
	Voters []metadata.Voter
	// Features are the levels at which this node can be, as in [Config].
	Features []metadata.FeatureRange
	// Wait is how long a voter may hold an answer back while there is nothing to
	// tell, 500 ms by default.
	Wait time.Duration
	// Timeout is what an answer may take beyond that, 1 s by default. Then another
	// voter is asked.
	Timeout time.Duration
	// MaxBytes is how many bytes of decisions an answer may have, 1 MiB by default.
	MaxBytes int32
}

func (c ObserverConfig) withDefaults() ObserverConfig {
	if c.Wait == 0 {
		c.Wait = 500 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 20
	}
	return c
}

// ObserverDeps is what an observer uses.
type ObserverDeps struct {
	Logger *slog.Logger
	// Read asks a voter, whose [Quorum.ReadMetadata] answers. It returns soon after
	// ctx ends.
	Read func(ctx context.Context, voter int32, req *node.ReadMetadataRequest) (*node.ReadMetadataResponse, error)
}

// Observer is a node that does not vote and has the voters' decisions told. It asks
// the leader, or while that does not answer any other voter, and keeps what it
// hears in memory. It is safe for concurrent use.
type Observer struct {
	knowledge

	config ObserverConfig
	logger *slog.Logger
	read   func(ctx context.Context, voter int32, req *node.ReadMetadataRequest) (*node.ReadMetadataResponse, error)

	// Owned by Run.
	asked    int                 // reads that were tried, by which the voters take turns
	silent   map[int32]time.Time // voters that did not answer, and when they are to be asked again
	failures int                 // reads that failed since the last one that did not
}

var (
	_ View = (*Quorum)(nil)
	_ View = (*Observer)(nil)
)

// NewObserver returns an observer that knows nothing yet.
func NewObserver(c ObserverConfig, deps ObserverDeps) *Observer {
	o := &Observer{config: c.withDefaults(), logger: deps.Logger, read: deps.Read, silent: map[int32]time.Time{}}
	o.begin(&state{image: metadata.Empty()})
	return o
}

// Between reads that fail it waits retryLeast, twice as long each time, up to
// retryMost.
const (
	retryLeast = 20 * time.Millisecond
	retryMost  = 500 * time.Millisecond
	// silence is for how long a voter that did not answer is not asked, if there
	// are others.
	silence = time.Second
)

// Run follows the decisions until ctx ends. It fails where what is decided cannot
// be understood here, or is another cluster's.
func (o *Observer) Run(ctx context.Context) error {
	defer close(o.closed)
	for ctx.Err() == nil {
		voter := o.next(time.Now())
		resp, err := o.ask(ctx, voter)
		if err != nil {
			o.missed(ctx, voter, err)
			continue
		}
		o.failures = 0
		delete(o.silent, voter)
		if err := o.take(resp); err != nil {
			return fmt.Errorf("follow the cluster's metadata: %w", err)
		}
	}
	return nil
}

// Voters are those agreed on, or while none are known those configured.
func (o *Observer) Voters() []metadata.Voter { return votersOf(o.Image(), o.config.Voters) }

// next is the voter to ask: the leader unless it is silent, else one after the
// other.
func (o *Observer) next(now time.Time) int32 {
	voters := o.Voters()
	leader, _ := o.Leader()
	for _, v := range voters {
		if v.ID == leader && !o.isSilent(leader, now) {
			return leader
		}
	}
	for range voters {
		o.asked++
		if v := voters[o.asked%len(voters)]; !o.isSilent(v.ID, now) {
			return v.ID
		}
	}
	o.asked++
	return voters[o.asked%len(voters)].ID
}

func (o *Observer) isSilent(voter int32, now time.Time) bool { return now.Before(o.silent[voter]) }

func (o *Observer) ask(ctx context.Context, voter int32) (*node.ReadMetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, o.config.Wait+o.config.Timeout)
	defer cancel()
	s := o.state.Load()
	resp, err := o.read(ctx, voter, &node.ReadMetadataRequest{
		NodeID: o.config.NodeID, Index: int64(s.index), Term: int64(s.term),
		MaxWaitMillis: int32(o.config.Wait.Milliseconds()), MaxBytes: o.config.MaxBytes, DirectoryID: o.config.DirectoryID,
	})
	if err != nil {
		return nil, err
	}
	if resp.ErrorCode == 0 {
		return resp, nil
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	if resp.ErrorMessage != nil {
		err = fmt.Errorf("%s: %w", *resp.ErrorMessage, err)
	}
	return nil, err
}

// missed notes that a voter did not answer, and waits a little.
func (o *Observer) missed(ctx context.Context, voter int32, err error) {
	if ctx.Err() != nil {
		return
	}
	o.silent[voter] = time.Now().Add(silence)
	if o.failures++; o.failures == 2*len(o.Voters()) {
		o.logger.Warn("no voter tells this node of the cluster's metadata; they are asked again and again", "voter", voter, "err", err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(min(retryLeast<<min(o.failures-1, 10), retryMost)):
	}
}

// take applies what a voter answered.
func (o *Observer) take(resp *node.ReadMetadataResponse) error {
	o.heardOf(leadership{id: resp.LeaderID, term: uint64(resp.LeaderEpoch)})
	if resp.Snapshot != nil {
		s, err := decodeSnapshot(resp.Snapshot)
		if err != nil {
			return fmt.Errorf("a snapshot: %w", err)
		}
		return o.apply(committed{snapshot: s})
	}
	for _, e := range resp.Entries {
		if err := o.apply(committed{index: uint64(e.Index), term: uint64(e.Term), decision: e.Decision}); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
	}
	return nil
}

// heardOf notes who leads, unless that is older than what is known.
func (o *Observer) heardOf(l leadership) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.term < o.leader.term || l.term == o.leader.term && l.id < 0 || l == o.leader {
		return
	}
	o.leader = l
	o.announce()
}

func (o *Observer) apply(c committed) error {
	before := o.state.Load()
	if c.snapshot == nil && c.index != before.index+1 {
		return fmt.Errorf("it follows entry %d", before.index)
	}
	after, delta, err := before.with(c)
	if err != nil {
		return err
	}
	if named := after.image.ClusterID; named != "" && named != o.config.ClusterID {
		return errors.New("the voters are of cluster " + named + ", this node is to be in " + o.config.ClusterID +
			": name the right voters, or format the node's folders for that cluster")
	}
	if err := checkLevels(after.image, o.config.Features); err != nil {
		return err
	}
	o.publish(after, delta)
	return nil
}

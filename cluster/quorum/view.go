package quorum

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// View is the cluster's metadata as a node sees it, whether or not it votes.
type View interface {
	// Image is the metadata as it stands here.
	Image() *metadata.Image
	// Observe lets fn hear of every decision that comes after the image it returns,
	// in order.
	Observe(fn func(*metadata.Image, *metadata.Delta)) *metadata.Image
	// Leader is the node that decides, as far as this one knows, -1 for none, and in
	// which epoch.
	Leader() (id, epoch int32)
	// AwaitLeaderChange waits until Leader tells another pair, and returns it.
	AwaitLeaderChange(ctx context.Context, id, epoch int32) (newID, newEpoch int32, err error)
	// Applied is the offset behind the last decision that the observers here have
	// seen.
	Applied() int64
	// AwaitApplied waits until Applied has reached an offset.
	AwaitApplied(ctx context.Context, offset int64) error
}

var _ View = (*Quorum)(nil)

// Image is the metadata as it stands: decided, durable, and observed or about to
// be.
func (q *Quorum) Image() *metadata.Image { return q.state.Load().image }

// Leader is the node that decides, as far as this one knows, -1 for none, and in
// which epoch.
func (q *Quorum) Leader() (id, epoch int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.leader.id, int32(q.leader.term)
}

// Observe lets fn hear of every decision that comes after the image it returns,
// in order, before the Propose that made it returns.
func (q *Quorum) Observe(fn func(*metadata.Image, *metadata.Delta)) *metadata.Image {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.observers = append(q.observers, fn)
	return q.Image()
}

// Applied is the offset behind the last decision that all observers have seen. An
// observer that asks while it is called is told the one before.
func (q *Quorum) Applied() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.applied
}

// AwaitApplied waits until Applied has reached an offset. It fails with
// REQUEST_TIMED_OUT when ctx ends, and where this node takes no more part.
func (q *Quorum) AwaitApplied(ctx context.Context, offset int64) error {
	return q.await(ctx, fmt.Sprintf("decisions up to offset %d", offset), func() bool { return q.applied >= offset })
}

// AwaitLeaderChange waits until Leader tells another pair than the given one, and
// returns it.
func (q *Quorum) AwaitLeaderChange(ctx context.Context, id, epoch int32) (newID, newEpoch int32, err error) {
	err = q.await(ctx, "another leader of the quorum", func() bool {
		newID, newEpoch = q.leader.id, int32(q.leader.term)
		return newID != id || newEpoch != epoch
	})
	return newID, newEpoch, err
}

// AwaitLead waits until this node leads the quorum, has in its image all that
// earlier leaders decided, and is named there as the one that decides. It returns
// in which epoch that is.
func (q *Quorum) AwaitLead(ctx context.Context) (epoch int32, err error) {
	err = q.await(ctx, "the lead of the quorum", func() bool {
		epoch = int32(q.leader.term)
		return q.leads() && q.Image().ControllerID == q.config.NodeID
	})
	return epoch, err
}

// leads reports whether this node leads and has applied all that was decided
// before. The caller holds mu.
func (q *Quorum) leads() bool {
	return q.leader.id == q.config.NodeID && q.state.Load().term == q.leader.term
}

// await waits for something that is announced. The condition is called with mu
// held.
func (q *Quorum) await(ctx context.Context, what string, condition func() bool) error {
	for {
		q.mu.Lock()
		met, failed, changed := condition(), q.failed, q.changed
		q.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case met:
			return nil
		}
		select {
		case <-changed:
		case <-q.closed:
			return errStopping
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, context.Cause(ctx), kerr.RequestTimedOut)
		}
	}
}

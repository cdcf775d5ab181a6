package quorum

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

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

// state is where the cluster stands.
type state struct {
	image   *metadata.Image
	index   uint64 // of raft's last entry in image
	term    uint64 // of that entry
	written int64  // bytes of log that were replayed at the start or written since
}

// leadership is who leads as far as this node knows.
type leadership struct {
	id   int32 // -1: nobody that is known
	term uint64
}

// knowledge is what a node knows of the cluster, and who wants to hear of it.
type knowledge struct {
	state  atomic.Pointer[state]
	closed chan struct{} // closed when no more will be known

	mu sync.Mutex
	// Guarded by mu.
	observers []func(*metadata.Image, *metadata.Delta) // only grows
	leader    leadership
	applied   int64         // offset behind the last decision that the observers have seen
	changed   chan struct{} // closed and replaced when anything here or state changes
	failed    error         // why this node takes no more part
}

func (k *knowledge) begin(s *state) {
	k.state.Store(s)
	k.closed, k.changed = make(chan struct{}), make(chan struct{})
	k.leader, k.applied = leadership{id: -1}, int64(s.index)
}

// Image is the metadata as it stands: decided, durable, and observed or about to
// be.
func (k *knowledge) Image() *metadata.Image { return k.state.Load().image }

// Leader is the node that decides, as far as this one knows, -1 for none, and in
// which epoch.
func (k *knowledge) Leader() (id, epoch int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.leader.id, int32(k.leader.term)
}

// Observe lets fn hear of every decision that comes after the image it returns,
// in order, before the [Quorum.Propose] that made it returns.
func (k *knowledge) Observe(fn func(*metadata.Image, *metadata.Delta)) *metadata.Image {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.observers = append(k.observers, fn)
	return k.Image()
}

// Applied is the offset behind the last decision that all observers have seen. An
// observer that asks while it is called is told the one before.
func (k *knowledge) Applied() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.applied
}

// AwaitApplied waits until Applied has reached an offset. It fails with
// REQUEST_TIMED_OUT when ctx ends, and where this node takes no more part.
func (k *knowledge) AwaitApplied(ctx context.Context, offset int64) error {
	return k.await(ctx, fmt.Sprintf("decisions up to offset %d", offset), func() bool { return k.applied >= offset })
}

// AwaitLeaderChange waits until Leader tells another pair than the given one, and
// returns it.
func (k *knowledge) AwaitLeaderChange(ctx context.Context, id, epoch int32) (newID, newEpoch int32, err error) {
	err = k.await(ctx, "another leader of the quorum", func() bool {
		newID, newEpoch = k.leader.id, int32(k.leader.term)
		return newID != id || newEpoch != epoch
	})
	return newID, newEpoch, err
}

// await waits for something that is announced. The condition is called with mu
// held.
func (k *knowledge) await(ctx context.Context, what string, condition func() bool) error {
	for {
		k.mu.Lock()
		met, failed, changed := condition(), k.failed, k.changed
		k.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case met:
			return nil
		}
		select {
		case <-changed:
		case <-k.closed:
			return errStopping
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, context.Cause(ctx), kerr.RequestTimedOut)
		}
	}
}

// publish makes s count, and lets the observers hear of what led to it.
func (k *knowledge) publish(s *state, delta *metadata.Delta) {
	k.mu.Lock()
	before := k.Image()
	k.state.Store(s)
	k.announce()
	observers := k.observers
	k.mu.Unlock()
	if s.image != before {
		for _, observe := range observers {
			observe(s.image, delta)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.applied = int64(s.index)
	k.announce()
}

// announce wakes who waits for a change. The caller holds mu.
func (k *knowledge) announce() {
	close(k.changed)
	k.changed = make(chan struct{})
}

package quorum

import (
	"fmt"
	"sync"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// committed is what raft committed and is to be applied: an entry, or a snapshot
// that takes the image's place.
type committed struct {
	index, term uint64
	decision    []byte
	snapshot    *state // nil for an entry
	size        int    // bytes in the log
}

// applier applies what is committed, in order, on a goroutine of its own.
type applier struct {
	mu sync.Mutex
	// Guarded by mu.
	more    sync.Cond
	queue   []committed
	stopped bool
}

func newApplier() *applier {
	a := &applier{}
	a.more.L = &a.mu
	return a
}

func (a *applier) push(all ...committed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, all...)
	a.more.Signal()
}

func (a *applier) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	a.more.Signal()
}

// next waits for what is to be applied; nil when there is no more to come.
func (a *applier) next() []committed {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) == 0 && !a.stopped {
		a.more.Wait()
	}
	all := a.queue
	a.queue = nil
	return all
}

// apply runs until the applier is stopped.
func (q *Quorum) apply(a *applier) {
	for all := a.next(); all != nil; all = a.next() {
		for _, c := range all {
			if err := q.applyOne(c); err != nil {
				q.misread(fmt.Errorf("apply entry %d: %w", c.index, err))
				return
			}
		}
	}
}

func (q *Quorum) applyOne(c committed) error {
	after, delta, err := q.state.Load().with(c)
	if err != nil {
		return err
	}
	if named := after.image.ClusterID; named != "" && named != q.config.ClusterID {
		return q.otherCluster(named)
	}
	if err := checkLevels(after.image, q.config.Features); err != nil {
		return err
	}
	q.publish(after, delta)
	q.announceGrowth(after)
	q.settle(after)
	return nil
}

// with returns where the cluster stands with c, and what c changed.
func (s *state) with(c committed) (*state, *metadata.Delta, error) {
	if c.snapshot != nil {
		return c.snapshot, metadata.Diff(s.image, c.snapshot.image), nil
	}
	after := &state{image: s.image, index: c.index, term: c.term, written: s.written + int64(c.size)}
	if len(c.decision) == 0 {
		return after, nil, nil
	}
	records, err := metadata.DecodeDecision(c.decision)
	if err != nil {
		return nil, nil, err
	}
	var delta *metadata.Delta
	after.image, delta, err = s.image.Apply(records)
	return after, delta, err
}

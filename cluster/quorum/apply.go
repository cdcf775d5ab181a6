package quorum

import (
	"errors"
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
				q.fail(fmt.Errorf("apply entry %d: %w", c.index, err))
				return
			}
		}
	}
}

func (q *Quorum) applyOne(c committed) error {
	before := q.state.Load()
	after := &state{image: before.image, index: c.index, term: c.term, written: before.written + int64(c.size)}
	delta := &metadata.Delta{}
	switch {
	case c.snapshot != nil:
		after = c.snapshot
		delta = metadata.Diff(before.image, after.image)
	case len(c.decision) > 0:
		records, err := metadata.DecodeDecision(c.decision)
		if err != nil {
			return err
		}
		if after.image, delta, err = before.image.Apply(records); err != nil {
			return err
		}
	}
	if named := after.image.ClusterID; named != "" && named != q.config.ClusterID {
		return errors.New(q.otherCluster(named).Error())
	}
	for _, observe := range q.publish(after) {
		if after.image != before.image {
			observe(after.image, delta)
		}
	}
	q.announceGrowth(after)
	q.settle(after)
	return nil
}

// publish makes s count and returns who is to hear of it.
func (q *Quorum) publish(s *state) []func(*metadata.Image, *metadata.Delta) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.state.Store(s)
	q.announce()
	return q.observers
}

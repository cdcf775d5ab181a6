package shard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
)

// tick is how often time passes for the coordinators: a session ends late by
// that much at most.
const tick = 50 * time.Millisecond

// led are the partitions of a coordinator's topic that this broker leads, each with a
// machine of its own.
type led[M machine] struct {
	count atomic.Int32 // of all partitions that the topic has

	mu         sync.RWMutex
	partitions map[int32]*partition[M] // guarded by mu
}

// SetPartitions tells how many partitions the topic has. Until it is created that is
// what the broker would create it with.
func (l *led[M]) SetPartitions(count int32) { l.count.Store(count) }

// Partition is the partition of the topic that an id belongs to: the one that Java's
// String.hashCode leads to.
func (l *led[M]) Partition(id string) int32 { return partitionOf(id, l.count.Load()) }

// partitionOf is the partition of a coordinator's topic that an id belongs to:
// by the hash without its sign, and 0 where the lowest number has no positive
// twin.
func partitionOf(id string, partitions int32) int32 {
	hash := int32(0)
	for _, unit := range utf16.Encode([]rune(id)) {
		hash = 31*hash + int32(unit)
	}
	if hash < 0 {
		hash = max(0, -hash)
	}
	return hash % partitions
}

// lead puts p in the place of what leads the partition until now, which ends. It
// reports whether p leads: not where the other has the same epoch, or a later one.
func (l *led[M]) lead(index int32, p *partition[M]) bool {
	l.mu.Lock()
	before := l.partitions[index]
	if before != nil && before.epoch >= p.epoch {
		l.mu.Unlock()
		p.end()
		return false
	}
	if l.partitions == nil {
		l.partitions = map[int32]*partition[M]{}
	}
	l.partitions[index] = p
	l.mu.Unlock()
	if before != nil {
		before.resign()
	}
	return true
}

// Resign gives a partition up. Who waits there is sent elsewhere, and if it is being
// loaded that ends soon.
func (l *led[M]) Resign(index int32) {
	l.mu.Lock()
	p := l.partitions[index]
	delete(l.partitions, index)
	l.mu.Unlock()
	if p != nil {
		p.resign()
	}
}

// ResignAll gives all partitions up, because this broker stops.
func (l *led[M]) ResignAll() {
	l.mu.Lock()
	all := l.partitions
	l.partitions = nil
	l.mu.Unlock()
	for _, p := range all {
		p.resign()
	}
}

// at returns a partition, if it is led here.
func (l *led[M]) at(index int32) (*partition[M], error) {
	l.mu.RLock()
	p := l.partitions[index]
	l.mu.RUnlock()
	if p == nil {
		return nil, kerr.NotCoordinator
	}
	return p, nil
}

// of returns the partition that an id belongs to, if it is led here.
func (l *led[M]) of(id string) (*partition[M], error) { return l.at(l.Partition(id)) }

func (l *led[M]) all() []*partition[M] {
	l.mu.RLock()
	defer l.mu.RUnlock()
	all := make([]*partition[M], 0, len(l.partitions))
	for _, p := range l.partitions {
		all = append(all, p)
	}
	return all
}

// run lets time pass until ctx ends: by pass at every tick, and by expire now and
// then; not for partitions that do not serve.
func (l *led[M]) run(ctx context.Context, interval time.Duration, pass, expire func(M, time.Time) step.Output) error {
	ticks, expiry := time.NewTicker(tick), time.NewTicker(max(tick, interval))
	defer ticks.Stop()
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticks.C:
			l.stepAll(func(m M) step.Output { return pass(m, now) })
		case now := <-expiry.C:
			l.stepAll(func(m M) step.Output { return expire(m, now) })
		}
	}
}

// stepAll lets every partition take a step; those that do not serve need none.
func (l *led[M]) stepAll(take func(M) step.Output) {
	for _, p := range l.all() {
		_ = p.step(take)
	}
}

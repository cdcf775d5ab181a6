// Package wait holds what waits for a partition to move on: produce requests
// that wait until their records are committed ([Acks]) and fetches that wait
// for records to read ([Polls]).
//
// Each partition owns one of either. Neither starts a goroutine: whoever moves
// the high watermark calls Advance or Wake and runs what that sets free, outside
// every lock of this package.
package wait

import (
	"sort"
	"sync"
	"time"
)

// Acks are the acknowledgements that a partition still owes, in the order of
// the offsets they wait for. The zero value is ready.
type Acks struct {
	mu sync.Mutex
	// Guarded by mu.
	reached int64 // every offset below it is committed
	pending []ack // ascending by offset
	failed  error // once set, every later wait fails with it
}

type ack struct {
	offset   int64
	deadline time.Time // zero: waits as long as it takes
	done     func(error) (then func())
}

// When calls done(nil) once offset is below what [Acks.Advance] reached, or
// done(err) when the partition failed or deadline passed first (a zero deadline
// never does). done runs exactly once: at once on the caller's goroutine where
// nothing is left to wait for, else on the goroutine that moved the partition.
//
// What done returns, if not nil, runs when all that were set free with it are
// told: so the answers to many requests of one client can leave together.
func (a *Acks) When(offset int64, deadline time.Time, done func(error) (then func())) {
	a.mu.Lock()
	if offset < a.reached || a.failed != nil {
		err := a.failed
		if offset < a.reached {
			err = nil
		}
		a.mu.Unlock()
		if then := done(err); then != nil {
			then()
		}
		return
	}
	a.insert(ack{offset: offset, deadline: deadline, done: done})
	a.mu.Unlock()
}

// insert keeps pending sorted. Appends come in order but for the few that
// overtake each other between the log's lock and this one, so the search from
// the end is the common case.
func (a *Acks) insert(w ack) {
	at := len(a.pending)
	if at > 0 && a.pending[at-1].offset > w.offset {
		at = sort.Search(at, func(i int) bool { return a.pending[i].offset > w.offset })
	}
	a.pending = append(a.pending, ack{})
	copy(a.pending[at+1:], a.pending[at:])
	a.pending[at] = w
}

// Advance says that every offset below end is committed and answers all that
// waited for it. An end below an earlier one changes nothing.
func (a *Acks) Advance(end int64) {
	a.mu.Lock()
	if end <= a.reached {
		a.mu.Unlock()
		return
	}
	a.reached = end
	n := sort.Search(len(a.pending), func(i int) bool { return a.pending[i].offset >= end })
	freed := a.take(n)
	a.mu.Unlock()
	finish(freed, nil)
}

// take removes the first n of pending. What remains moves to a slice of its own,
// so that the caller may run the freed ones without the lock.
func (a *Acks) take(n int) []ack {
	if n == 0 {
		return nil
	}
	freed := a.pending[:n]
	if n == len(a.pending) {
		a.pending = nil
		return freed
	}
	a.pending = append(make([]ack, 0, max(16, 2*(len(a.pending)-n))), a.pending[n:]...)
	return freed
}

// Expire answers with err all whose deadline is not after now, and returns how many
// wait on. The records of the answered may still be committed later, as Kafka's are.
func (a *Acks) Expire(now time.Time, err error) (left int) {
	a.mu.Lock()
	var late []ack
	kept := a.pending[:0]
	for _, w := range a.pending {
		if !w.deadline.IsZero() && !w.deadline.After(now) {
			late = append(late, w)
		} else {
			kept = append(kept, w)
		}
	}
	clear(a.pending[len(kept):])
	a.pending = kept
	a.mu.Unlock()
	finish(late, err)
	return len(kept)
}

// Refuse answers all that wait with err. Those that come later may wait.
func (a *Acks) Refuse(err error) {
	a.mu.Lock()
	freed := a.take(len(a.pending))
	a.mu.Unlock()
	finish(freed, err)
}

// Fail answers all that wait, and all that will, with err: the partition's log
// is lost, or led elsewhere. Only the first call counts.
func (a *Acks) Fail(err error) {
	a.mu.Lock()
	if a.failed == nil {
		a.failed = err
	}
	freed := a.take(len(a.pending))
	a.mu.Unlock()
	finish(freed, err)
}

func finish(freed []ack, err error) {
	var last []func()
	for _, w := range freed {
		if then := w.done(err); then != nil {
			last = append(last, then)
		}
	}
	for _, then := range last {
		then()
	}
}

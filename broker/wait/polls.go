package wait

import (
	"sync"
	"sync/atomic"
)

// Polls are the fetches that wait for a partition to have more to read. The
// zero value is ready.
type Polls struct {
	waiting atomic.Int32 // len(polls), so that Wake without anyone waiting takes no lock

	mu    sync.Mutex
	polls map[*Poll]struct{} // guarded by mu
}

// Poll is one waiting fetch. It may wait at several partitions at once.
type Poll struct {
	woken chan struct{} // room for one: a wake-up that nobody took yet is enough
}

// NewPoll returns a poll that waits at no partition yet.
func NewPoll() *Poll { return &Poll{woken: make(chan struct{}, 1)} }

// Woken delivers when a partition moved since the last delivery.
func (p *Poll) Woken() <-chan struct{} { return p.woken }

// Add lets poll wait here. Look for records after adding, not before, or one
// that arrives in between wakes nobody.
func (ps *Polls) Add(p *Poll) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.polls == nil {
		ps.polls = map[*Poll]struct{}{}
	}
	ps.polls[p] = struct{}{}
	ps.waiting.Store(int32(len(ps.polls)))
}

// Remove ends poll's wait here.
func (ps *Polls) Remove(p *Poll) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.polls, p)
	ps.waiting.Store(int32(len(ps.polls)))
}

// Waiting is how many polls wait here.
func (ps *Polls) Waiting() int { return int(ps.waiting.Load()) }

// Wake tells every poll here that the partition moved.
func (ps *Polls) Wake() {
	if ps.waiting.Load() == 0 {
		return
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for p := range ps.polls {
		select {
		case p.woken <- struct{}{}:
		default:
		}
	}
}

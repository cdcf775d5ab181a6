package listener

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// Budget bounds the memory that the bodies of requests hold together. A request
// that finds it spent waits its turn.
//
// A body grows as its bytes arrive, so requests that all hold a part and wait
// for more could wait for one another for ever. Therefore one request at a time
// may grow beyond the budget: memory in use exceeds it by one request at most.
type Budget struct {
	limit int64

	mu        sync.Mutex // guards all below
	used      int64
	overdrawn bool     // one request has grown beyond the limit and not ended yet
	growing   []*claim // waiting, first come first served, before all of starting
	starting  []*claim
}

// claim is a wait for memory.
type claim struct {
	size    int64
	beyond  bool // granted beyond the limit
	granted chan struct{}
}

var (
	errBudgetSpent = errors.New("the memory for requests is spent and none came free in time")
	errStopping    = errors.New("the listener is stopping")
)

// NewBudget returns a budget of the given number of bytes, over zero.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes} }

// Used returns the bytes that requests hold now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// take takes n bytes for a new request if it need not wait for them.
func (b *Budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.takeLocked(n)
}

// takeLocked is take for who holds mu.
func (b *Budget) takeLocked(n int64) bool {
	if len(b.growing)+len(b.starting) > 0 || !b.fits(n) {
		return false
	}
	b.used += n
	return true
}

// start takes n bytes for a new request.
func (b *Budget) start(n int64, patience time.Duration, stop <-chan struct{}) error {
	b.mu.Lock()
	if b.takeLocked(n) {
		b.mu.Unlock()
		return nil
	}
	c := &claim{size: n, granted: make(chan struct{})}
	b.starting = append(b.starting, c)
	b.mu.Unlock()
	return b.await(c, &b.starting, patience, stop)
}

// grow takes n bytes more for a request that has some. What it answers is whether
// the request is the one beyond the limit; the caller hands that in when it grows
// further, and when it gives its bytes back.
func (b *Budget) grow(n int64, beyond bool, patience time.Duration, stop <-chan struct{}) (bool, error) {
	b.mu.Lock()
	if fits := b.fits(n); fits || beyond || !b.overdrawn {
		beyond = beyond || !fits
		b.overdrawn = b.overdrawn || beyond
		b.used += n
		b.mu.Unlock()
		return beyond, nil
	}
	c := &claim{size: n, granted: make(chan struct{})}
	b.growing = append(b.growing, c)
	b.mu.Unlock()
	err := b.await(c, &b.growing, patience, stop)
	return c.beyond, err
}

// fits reports whether n bytes may be taken. A lone request always may: the
// budget can be smaller than a request.
func (b *Budget) fits(n int64) bool { return b.used == 0 || b.used+n <= b.limit }

func (b *Budget) await(c *claim, queue *[]*claim, patience time.Duration, stop <-chan struct{}) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	err := errBudgetSpent
	select {
	case <-c.granted:
		return nil
	case <-timer.C:
	case <-stop:
		err = errStopping
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(*queue, c)
	if i < 0 {
		return nil // granted in the meantime
	}
	*queue = slices.Delete(*queue, i, i+1)
	b.grant() // a smaller claim may have stood behind this one
	return err
}

// give returns n bytes; beyond ends the one request that may exceed the limit.
func (b *Budget) give(n int64, beyond bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if beyond {
		b.overdrawn = false
	}
	b.grant()
}

// grant serves the claims that fit now, and gives the right to grow beyond the
// limit to who waits longest for it.
func (b *Budget) grant() {
	for len(b.growing) > 0 {
		c := b.growing[0]
		c.beyond = !b.fits(c.size)
		if c.beyond && b.overdrawn {
			return
		}
		b.overdrawn = b.overdrawn || c.beyond
		b.serve(&b.growing)
	}
	for len(b.starting) > 0 && b.fits(b.starting[0].size) {
		b.serve(&b.starting)
	}
}

// serve grants the first claim of a queue.
func (b *Budget) serve(queue *[]*claim) {
	c := (*queue)[0]
	b.used += c.size
	close(c.granted)
	*queue = slices.Delete(*queue, 0, 1)
}

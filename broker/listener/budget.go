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

// start takes n bytes for a new request.
func (b *Budget) start(n int64, patience time.Duration, stop <-chan struct{}) error {
	b.mu.Lock()
	if len(b.growing)+len(b.starting) == 0 && b.fits(n) {
		b.used += n
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
	return false, b.await(c, &b.growing, patience, stop)
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

// grant serves the claims that fit now.
func (b *Budget) grant() {
	for _, queue := range []*[]*claim{&b.growing, &b.starting} {
		for len(*queue) > 0 && b.fits((*queue)[0].size) {
			b.used += (*queue)[0].size
			close((*queue)[0].granted)
			*queue = slices.Delete(*queue, 0, 1)
		}
		if len(*queue) > 0 {
			return
		}
	}
}

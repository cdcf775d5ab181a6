package listener

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrBudget says that other requests held all memory for too long.
var ErrBudget = errors.New("no memory for the request")

// Budget bounds the memory that all requests together hold.
type Budget struct {
	total int64
	wait  time.Duration
	left  *semaphore.Weighted
}

// NewBudget returns a budget of so many bytes, for which a request waits so long
// at most.
func NewBudget(bytes int64, wait time.Duration) *Budget {
	return &Budget{total: bytes, wait: wait, left: semaphore.NewWeighted(bytes)}
}

// take waits for n bytes. A request larger than the whole budget takes all of it.
// What it returns is to be given back.
func (b *Budget) take(n int) (taken int64, err error) {
	taken = min(int64(n), b.total)
	if b.left.TryAcquire(taken) {
		return taken, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.wait)
	defer cancel()
	if err := b.left.Acquire(ctx, taken); err != nil {
		return 0, fmt.Errorf("%w: %d bytes, and all requests together held %d for %s", ErrBudget, n, b.total, b.wait)
	}
	return taken, nil
}

func (b *Budget) give(n int64) {
	if n > 0 {
		b.left.Release(n)
	}
}

package active

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// maxTogether is how many changes the decisions that are taken together may have
// after the first of them: one decision can be as large as the quorum takes.
const maxTogether = 10_000

// decider is a decision to take. It may be asked more than once, each time on another
// image: what it said last counts.
type decider func(*metadata.Image) []metadata.Record

// outcome is what became of a decision.
type outcome struct {
	image  *metadata.Image // with it, and perhaps with others
	offset int64           // of the image
	err    error
}

// queue takes the decisions of a term, all that wait at a time.
type queue struct {
	propose func(context.Context, func(*metadata.Image) ([]metadata.Record, error)) (*metadata.Image, int64, error)
	arrived chan struct{} // has room for one word that somebody waits

	mu sync.Mutex
	// Guarded by mu.
	waiting []*entry
	ended   bool
}

// entry is a decision in the queue.
type entry struct {
	decide  decider
	outcome chan outcome // has room for the one that it gets
}

func newQueue(q Quorum) *queue {
	return &queue{propose: q.ProposeAt, arrived: make(chan struct{}, 1)}
}

// errTermEnded is for decisions that a term leaves behind.
var errTermEnded = fmt.Errorf("this node is not the active controller any more: %w", kerr.NotController)

// take has a decision taken. ctx bounds the wait until it is its turn; once it was
// asked the decision is seen through.
func (q *queue) take(ctx context.Context, decide decider) outcome {
	e := &entry{decide: decide, outcome: make(chan outcome, 1)}
	if !q.join(e) {
		return outcome{err: errTermEnded}
	}
	select {
	case o := <-e.outcome:
		return o
	case <-ctx.Done():
	}
	if q.leave(e) {
		return outcome{err: fmt.Errorf("wait for the turn to decide: %w: %w", context.Cause(ctx), kerr.RequestTimedOut)}
	}
	return <-e.outcome
}

func (q *queue) join(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return false
	}
	q.waiting = append(q.waiting, e)
	select {
	case q.arrived <- struct{}{}:
	default:
	}
	return true
}

// leave takes an entry out that nobody has asked yet.
func (q *queue) leave(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting, e)
	if at < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	return true
}

// next takes the first entry out, nil for none.
func (q *queue) next() *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	e := q.waiting[0]
	q.waiting = q.waiting[1:]
	return e
}

func (q *queue) putBack(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.Insert(q.waiting, 0, e)
}

// run takes decisions until ctx ends, when the term does.
func (q *queue) run(ctx context.Context) {
	defer q.end()
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.arrived:
		}
		for ctx.Err() == nil && q.waits() {
			q.round(ctx)
		}
	}
}

func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) > 0
}

// end gives up those that still wait.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	for _, e := range q.waiting {
		e.outcome <- outcome{err: errTermEnded}
	}
	q.waiting = nil
}

// round takes what waits in one proposal. If the quorum does not let this node decide,
// one of those that wait is told so.
func (q *queue) round(ctx context.Context) {
	b := &batch{queue: q}
	img, offset, err := q.propose(ctx, b.decide)
	if err != nil && len(b.taken) == 0 && ctx.Err() == nil {
		if e := q.next(); e != nil {
			b.taken = append(b.taken, e)
		}
	}
	for _, e := range b.taken {
		e.outcome <- outcome{img, offset, err}
	}
}

// batch is decisions that are taken together.
type batch struct {
	queue *queue
	taken []*entry
}

// decide asks one decision after the other, each on the image with those before.
func (b *batch) decide(img *metadata.Image) (all []metadata.Record, err error) {
	changes := 0
	for e := b.queue.next(); e != nil; e = b.queue.next() {
		records := e.decide(img)
		n := size(records)
		if changes > 0 && changes+n > maxTogether {
			b.queue.putBack(e)
			break
		}
		b.taken, all, changes = append(b.taken, e), append(all, records...), changes+n
		if n == 0 {
			continue
		}
		if img, _, err = img.Apply(records); err != nil {
			return nil, fmt.Errorf("a decision does not fit the metadata that it was taken on: %w", err)
		}
	}
	return all, nil
}

// size is how much records change.
func size(records []metadata.Record) int {
	n := len(records)
	for _, r := range records {
		if changed, is := r.(*metadata.PartitionsChanged); is {
			n += len(changed.Changes)
		}
	}
	return n
}

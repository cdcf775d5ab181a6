// Package outbox sends each node what is for it, one request at a time: what comes
// while a request is under way goes out together in the next.
//
// Run's goroutine waits; each node has another while it is sent something. The mutex
// guards what they share, and nothing that was handed in is called under it.
package outbox

import (
	"context"
	"sync"
	"time"
)

// Config is how items of a kind are sent.
type Config[T any] struct {
	Limit    int           // the most that are sent in one request
	Patience time.Duration // how long a request may take
	// Send sends a request to a node, waits for the answer, and sees to what becomes of
	// each item. It returns soon after ctx ended.
	Send func(ctx context.Context, node int32, items []T)
	// Refuse sees to an item that is not sent, because Run has ended.
	Refuse func(T)
}

// Outbox is safe for concurrent use.
type Outbox[T any] struct {
	config Config[T]
	tasks  sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	running context.Context // nil: not yet, or no more
	stopped bool
	boxes   map[int32]*box[T] // of nodes for which there is something
}

// box is what is for one node. It is guarded by the outbox's mutex.
type box[T any] struct {
	items  []T
	sent   bool               // a goroutine sends
	cancel context.CancelFunc // ends the request that is under way
}

// New returns an outbox that sends nothing before Run.
func New[T any](c Config[T]) *Outbox[T] {
	return &Outbox[T]{config: c, boxes: map[int32]*box[T]{}}
}

// Put hands over an item for a node. It does not block, but once Run has ended the
// item is refused before Put returns.
func (o *Outbox[T]) Put(node int32, item T) {
	o.mu.Lock()
	if o.stopped {
		o.mu.Unlock()
		o.config.Refuse(item)
		return
	}
	defer o.mu.Unlock()
	b := o.boxes[node]
	if b == nil {
		b = &box[T]{cancel: func() {}}
		o.boxes[node] = b
	}
	b.items = append(b.items, item)
	o.start(node, b)
}

// start lets a box be sent, if it is not being sent already. The caller holds mu.
func (o *Outbox[T]) start(node int32, b *box[T]) {
	if o.running == nil || b.sent {
		return
	}
	b.sent = true
	ctx := o.running
	o.tasks.Go(func() { o.sendAll(ctx, node, b) })
}

// sendAll sends what is in a box until it is empty.
func (o *Outbox[T]) sendAll(ctx context.Context, node int32, b *box[T]) {
	for ctx.Err() == nil {
		request, cancel := context.WithTimeout(ctx, o.config.Patience)
		items := o.take(node, b, cancel)
		if len(items) > 0 {
			o.config.Send(request, node, items)
		}
		cancel()
		if len(items) == 0 {
			return
		}
	}
}

// take takes a request's worth out of a box, which is done with once it is empty.
func (o *Outbox[T]) take(node int32, b *box[T], cancel context.CancelFunc) []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(b.items), o.config.Limit)
	if n == 0 {
		delete(o.boxes, node)
		return nil
	}
	items := b.items[:n:n]
	b.items, b.cancel = b.items[n:], cancel
	return items
}

// GiveUp waits no longer for the answers of nodes that are gone.
func (o *Outbox[T]) GiveUp(gone func(node int32) bool) {
	o.mu.Lock()
	nodes := make(map[int32]context.CancelFunc, len(o.boxes))
	for node, b := range o.boxes {
		nodes[node] = b.cancel
	}
	o.mu.Unlock()
	for node, cancel := range nodes {
		if gone(node) {
			cancel()
		}
	}
}

// Run sends until ctx ends. What is left then is refused.
func (o *Outbox[T]) Run(ctx context.Context) error {
	o.mu.Lock()
	o.running = ctx
	for node, b := range o.boxes {
		o.start(node, b)
	}
	o.mu.Unlock()
	<-ctx.Done()
	o.mu.Lock()
	o.running, o.stopped = nil, true
	o.mu.Unlock()
	o.tasks.Wait()
	o.mu.Lock()
	left := o.boxes
	o.boxes = map[int32]*box[T]{}
	o.mu.Unlock()
	for _, b := range left {
		for _, item := range b.items {
			o.config.Refuse(item)
		}
	}
	return nil
}

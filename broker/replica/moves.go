package replica

import (
	"sync"
	"sync/atomic"
)

// moves are those of many that have moved, so that who looks after all of them looks
// at these only. Any goroutine may say that one has moved; nothing is called under the
// mutex, so that may be said under any lock.
type moves[T any] struct {
	woken chan struct{} // room for one: a wake-up that nobody took yet is enough

	mu     sync.Mutex
	queued []*T // in the order in which they moved, each once; guarded by mu
}

// mover is what one of them has of its moves.
type mover struct{ queued atomic.Bool }

func newMoves[T any]() moves[T] { return moves[T]{woken: make(chan struct{}, 1)} }

// add notes that one has moved. Its mover is that of no other.
func (m *moves[T]) add(one *T, its *mover) {
	// Looked at first because it is mostly there already, and then nobody writes to
	// what several read.
	if its.queued.Load() || !its.queued.CompareAndSwap(false, true) {
		return
	}
	m.mu.Lock()
	m.queued = append(m.queued, one)
	m.mu.Unlock()
}

// take moves all that have moved to the end of list. Before one is looked at, its
// mover is to be let go: then it is queued again when it moves during the look.
func (m *moves[T]) take(list []*T) []*T {
	m.mu.Lock()
	defer m.mu.Unlock()
	list = append(list, m.queued...)
	clear(m.queued)
	m.queued = m.queued[:0]
	return list
}

// letGo says that a look begins.
func (m *mover) letGo() { m.queued.Store(false) }

// wake sees to it that woken delivers.
func (m *moves[T]) wake() {
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

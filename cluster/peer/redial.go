package peer

import "time"

// How long a node that could not be reached is left alone.
const (
	backoffLeast = 20 * time.Millisecond
	backoffMost  = 500 * time.Millisecond
	watchMost    = 100 * time.Millisecond // where the node is watched
	// A process that dies may close a connection before it closes what it listens on: who
	// connects between the two is hung up on. So what became of it is asked again soon.
	lostLeast = 2 * time.Millisecond
	// A connection that ends sooner than steady does not count as one that was lost, so
	// that a node that hangs up at once is not dialed in a loop.
	steady = 100 * time.Millisecond
)

// redial decides when to connect again. It is guarded by its link's mu.
type redial struct {
	failures int       // in a row
	tried    time.Time // when the last attempt or connection ended
	// lost says that a connection broke, and that it is not known yet what became of the
	// node: somebody wants to hear whether anybody listens there, used or not.
	lost bool
}

// at returns when to connect, if anything is a reason to: somebody waits for an
// answer, messages wait to be sent, or the node is watched.
func (r *redial) at(asked, posted, watched bool) (at time.Time, wanted bool) {
	pause := backoffMost
	switch {
	case asked:
		pause = backoffLeast
	case watched:
		pause = watchMost
	case !posted && !r.lost:
		return time.Time{}, false
	}
	return r.tried.Add(min(pause, r.backoff())), true
}

func (r *redial) backoff() time.Duration {
	if r.failures == 0 {
		return 0
	}
	least := backoffLeast
	if r.lost {
		least = lostLeast
	}
	return min(backoffMost, least<<min(r.failures-1, 10))
}

func (r *redial) failed(now time.Time, refused bool) {
	r.failures++
	r.tried = now
	r.lost = r.lost && !refused && r.backoff() < backoffMost
}

func (r *redial) broken(since, now time.Time) {
	if now.Sub(since) >= steady {
		r.failures = 0
	} else {
		r.failures++
	}
	r.tried = now
	r.lost = true
}

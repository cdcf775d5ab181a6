package listener

import (
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// Served is a request whose answer the socket has taken.
type Served struct {
	API     string
	Role    string // see [Request.Role]
	Version int16
	Times   Times
}

// Times are the parts of the time from a request's last byte read to its answer
// handed to the socket.
type Times struct {
	Turn   time.Duration // until those before it on its connection let it begin
	Local  time.Duration // being handled
	Remote time.Duration // waiting for others: a flush, records to come, members of a group
	Order  time.Duration // its answer waited for those before it
	Send   time.Duration // until the socket had taken the answer
}

// Total is the whole time.
func (t Times) Total() time.Duration { return t.Turn + t.Local + t.Remote + t.Order + t.Send }

// clock holds when a request came to its stages.
//
// Guarded by Conn.mu until a writer takes the request off the queue.
type clock struct {
	began, returned, finished time.Time // returned is zero while the handler has not
	waited                    time.Duration
}

// times takes the stages apart. What the handler waited for itself is not its own
// work; a request may be finished before its handler returns, or long after.
func (r *Request) times(taken, sent time.Time) Times {
	left := r.clock.finished
	if at := r.clock.returned; !at.IsZero() && at.Before(left) {
		left = at
	}
	return Times{
		Turn:   r.clock.began.Sub(r.Received),
		Local:  left.Sub(r.clock.began) - r.clock.waited,
		Remote: r.clock.finished.Sub(left) + r.clock.waited,
		Order:  taken.Sub(r.clock.finished),
		Send:   sent.Sub(taken),
	}
}

// countAnswered tells the metrics of a list of requests that were taken to be
// written, and now are.
func (c *Conn) countAnswered(list *Request, taken time.Time) {
	now := time.Now()
	for r := list; r != nil; r = r.next {
		c.listener.deps.Metrics.Answered(Served{API: protocol.NameOf(r.Key), Role: r.Role, Version: r.Version, Times: r.times(taken, now)})
	}
}

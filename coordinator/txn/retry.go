package txn

import (
	"time"

	"github.com/klamm-io/klamm/coordinator/step"
)

// How long to wait before markers that could not be written are tried again: from
// the first, doubled each time, up to the longest.
const (
	firstRetry   = 100 * time.Millisecond
	longestRetry = 10 * time.Second
)

// retry is when to carry out a decision again.
type retry struct {
	at   time.Time // zero while it is under way
	wait time.Duration
}

// MarkersFailed sees to it that the markers that are still missing are tried again.
func (c *Coordinator) MarkersFailed(w WriteMarkers, now time.Time) step.Output {
	if t := c.carriedOut(w); t != nil {
		c.tryAgain(t.id, now)
	}
	return step.Output{}
}

func (c *Coordinator) tryAgain(id string, now time.Time) {
	wait := min(max(firstRetry, 2*c.failed[id].wait), longestRetry)
	c.failed[id] = retry{at: now.Add(wait), wait: wait}
}

// retryFailed asks for the markers whose time has come.
func (c *Coordinator) retryFailed(out *output, now time.Time) {
	for id, r := range c.failed {
		t := c.txns[id]
		switch {
		case t == nil || !t.state.prepared():
			delete(c.failed, id)
		case !r.at.IsZero() && !now.Before(r.at):
			c.failed[id] = retry{wait: r.wait}
			out.Effects = append(out.Effects, c.markersOf(t))
		}
	}
}

package group

import (
	"container/heap"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// wakes are the times at which groups are to be looked at, the next one first. A
// group may be there more than once; looking at it too early does no harm. So a
// heartbeat only moves its member's deadline and touches nothing here.
type wakes []wake

type wake struct {
	at time.Time
	id string
}

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, j int) bool { return w[i].at.Before(w[j].at) }
func (w wakes) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }

// Push and Pop are for container/heap.
func (w *wakes) Push(x any) { *w = append(*w, x.(wake)) }

// Pop is for container/heap.
func (w *wakes) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// schedule sees to it that the group is looked at when its next deadline passes.
func (c *Coordinator) schedule(g *group) {
	if at := g.nextDeadline(); !at.IsZero() {
		heap.Push(&c.wakes, wake{at: at, id: g.id})
	}
}

// nextDeadline is the earliest time at which the group may have something to do,
// zero for never.
func (g *group) nextDeadline() (next time.Time) {
	earlier := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if g.consumer != nil {
		return g.nextConsumerDeadline()
	}
	switch g.state {
	case preparingRebalance:
		earlier(g.joinDeadline)
	case completingRebalance, stable:
		if !g.allSynced() {
			earlier(g.syncDeadline)
		}
	}
	for _, m := range g.members {
		if !m.waits() {
			earlier(m.deadline)
		}
	}
	for _, at := range g.pending {
		earlier(at)
	}
	return next
}

// Tick lets time pass: it is to be called often enough for the shortest session.
func (c *Coordinator) Tick(now time.Time) (out Output) {
	seen := map[string]bool{}
	for len(c.wakes) > 0 && !c.wakes[0].at.After(now) {
		id := heap.Pop(&c.wakes).(wake).id
		if g := c.groups[id]; g != nil && !seen[id] {
			seen[id] = true
			c.passTime(g, now, &out)
			if at := g.nextDeadline(); !at.IsZero() {
				// Never at or before now, or this loop would not end.
				heap.Push(&c.wakes, wake{at: maxTime(at, now.Add(time.Millisecond)), id: id})
			}
		}
	}
	return out
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// passTime removes who was not heard of, and goes on where a rebalance waited
// long enough.
func (c *Coordinator) passTime(g *group, now time.Time, out *Output) {
	if g.consumer != nil {
		c.passConsumerTime(g, now, out)
		return
	}
	removed := false
	for m := range g.each {
		if m.silent(now) {
			m.dismiss("", kerr.UnknownMemberID, out)
			g.remove(m)
			removed = true
		}
	}
	if removed {
		c.dropped(g, now, out)
	}
	for id, at := range g.pending {
		if !at.After(now) {
			delete(g.pending, id) // only a rebalance waited for it
			c.completeIfJoined(g, now, out)
		}
	}
	switch {
	case g.state == preparingRebalance && !g.joinDeadline.After(now):
		c.joinDeadlinePassed(g, now, out)
	case (g.state == completingRebalance || g.state == stable) && !g.allSynced() && !g.syncDeadline.After(now):
		c.syncDeadlinePassed(g, now, out)
	}
}

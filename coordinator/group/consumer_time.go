package group

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// watch is by when something is expected of a member of a consumer group. None of
// it is in the records: after a load everybody has the whole time again. Zero
// times are none.
type watch struct {
	session    time.Time
	revocation time.Time // by when it has let go of partitions
	epoch      int32     // at which it was told to
	join       time.Time // by when a classic member joins again
	sync       time.Time // by when a classic member asks for its assignment
}

// watch notes that a member is alive.
func (d *draft) watch(m *consumerMember, session time.Duration, now time.Time) {
	id := m.id
	d.whenCounts(func(g *group) { g.watching(id).session = now.Add(session) })
}

func (g *group) watching(id string) *watch {
	if g.watched == nil {
		g.watched = map[string]*watch{}
	}
	if g.watched[id] == nil {
		g.watched[id] = &watch{}
	}
	return g.watched[id]
}

// watchRevocation sees to it that a member lets go of partitions in time. A
// classic member is expected to join again instead.
func (d *draft) watchRevocation(m *consumerMember) {
	if m.classic != nil {
		return
	}
	now := d.now
	d.whenCounts(func(g *group) {
		w := g.watching(m.id)
		if w.revocation = (time.Time{}); m.state == memberUnrevoked {
			w.revocation, w.epoch = now.Add(m.rebalanceTimeout), m.epoch
		}
	})
}

// next is the earliest time at which the member's time is over; zero for never.
func (w *watch) next() (next time.Time) {
	for _, at := range []time.Time{w.session, w.revocation, w.join, w.sync} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// nextConsumerDeadline is the earliest deadline of any member.
func (g *group) nextConsumerDeadline() (next time.Time) {
	for _, w := range g.watched {
		if at := w.next(); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// passConsumerTime fences the members of whom something was expected in vain.
func (c *Coordinator) passConsumerTime(g *group, now time.Time, out *Output) {
	var late []*consumerMember
	for id, w := range inOrder(g.watched) {
		m := g.consumer.members[id]
		if m == nil {
			delete(g.watched, id)
			continue
		}
		if !w.revocation.IsZero() && (m.state != memberUnrevoked || m.epoch != w.epoch) {
			w.revocation = time.Time{}
		}
		if at := w.next(); !at.IsZero() && !at.After(now) {
			late = append(late, m)
		}
	}
	if len(late) == 0 {
		return
	}
	d := c.draftOf(g.id, g.consumer, now)
	d.fence(late)
	d.finish(out, func(error) []Reply { return nil })
}

// watchLoaded gives every member of a group that was loaded its whole time.
func (c *Coordinator) watchLoaded(g *group, now time.Time) {
	session := c.settingsOf(g.id).session
	for id, m := range g.consumer.members {
		w := g.watching(id)
		w.session = now.Add(session)
		if m.state == memberUnrevoked {
			w.revocation, w.epoch = now.Add(m.rebalanceTimeout), m.epoch
		}
	}
}

// inOrder yields a map in the order of its keys, so that what follows from it does
// not depend on chance.
func inOrder[V any](of map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(of)) {
			if !yield(k, of[k]) {
				return
			}
		}
	}
}

package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// prepare begins a rebalance: everyone has to join again.
func (c *Coordinator) prepare(g *group, now time.Time, out *Output) {
	for m := range g.each {
		if g.state == completingRebalance {
			m.assignment = nil // none was agreed on
		}
		if w := m.syncing; w != nil {
			m.syncing = nil
			m.heard(now)
			out.reply(w.ticket, syncError(w.version, kerr.RebalanceInProgress))
		}
	}
	g.assignWritten = false
	g.delayed = g.state == empty && c.config.InitialRebalanceDelay > 0
	if g.delayed {
		g.delayLeft = max(0, g.longestRebalance()-c.config.InitialRebalanceDelay)
		g.joinDeadline = now.Add(c.config.InitialRebalanceDelay)
	} else {
		g.joinDeadline = now.Add(g.longestRebalance())
	}
	g.become(preparingRebalance, now)
	c.completeIfJoined(g, now, out)
}

// completeIfJoined goes on as soon as nobody is missing.
func (c *Coordinator) completeIfJoined(g *group, now time.Time, out *Output) {
	if g.state == preparingRebalance && !g.delayed && g.everyoneJoined() {
		c.completeJoin(g, now, out)
	}
}

// joinDeadlinePassed goes on without those that are missing, or lets a new group
// wait once more, because someone joined meanwhile.
func (c *Coordinator) joinDeadlinePassed(g *group, now time.Time, out *Output) {
	if g.delayed && g.delayJoined && g.delayLeft > 0 {
		wait := min(c.config.InitialRebalanceDelay, g.delayLeft)
		g.delayJoined, g.delayLeft, g.joinDeadline = false, g.delayLeft-wait, now.Add(wait)
		return
	}
	c.completeJoin(g, now, out)
}

// completeJoin begins a generation of those that joined. A static member that
// did not is kept until its session ends.
func (c *Coordinator) completeJoin(g *group, now time.Time, out *Output) {
	g.delayed = false
	joined := 0
	for m := range g.each {
		switch {
		case m.joining != nil:
			joined++
		case m.instanceID == nil:
			g.remove(m)
		}
	}
	if joined == 0 && len(g.members) > 0 {
		g.joinDeadline = now.Add(g.longestRebalance()) // static members, all away
		return
	}
	g.generation++
	if len(g.members) == 0 {
		c.turnEmpty(g, now, out)
		return
	}
	if l := g.members[g.leader]; l == nil || l.joining == nil {
		g.leader = g.firstJoined()
	}
	g.protocol = g.choose()
	g.become(completingRebalance, now)
	g.syncDeadline = now.Add(g.longestRebalance())
	for m := range g.each {
		m.isNew, m.unsynced = false, true
		m.heard(now)
		if w := m.joining; w != nil {
			m.joining = nil
			out.reply(w.ticket, c.joined(g, m, w.version))
		}
	}
}

func (g *group) firstJoined() string {
	for m := range g.each {
		if m.joining != nil {
			return m.id
		}
	}
	return ""
}

// turnEmpty writes down that the group has no members any more.
func (c *Coordinator) turnEmpty(g *group, now time.Time, out *Output) {
	g.protocol, g.leader = "", ""
	g.become(empty, now)
	out.write([]Record{g.metadataRecord(now)}, func(error) []Reply { return nil })
}

// dropped goes on after members were removed.
func (c *Coordinator) dropped(g *group, now time.Time, out *Output) {
	switch g.state {
	case stable, completingRebalance:
		c.prepare(g, now, out)
	case preparingRebalance:
		c.completeIfJoined(g, now, out)
	}
}

// syncDeadlinePassed removes the members that did not ask for their assignment:
// without the leader nobody has one, and what is assigned to another would not
// be read.
func (c *Coordinator) syncDeadlinePassed(g *group, now time.Time, out *Output) {
	for m := range g.each {
		if m.unsynced {
			g.remove(m)
		}
	}
	c.prepare(g, now, out)
}

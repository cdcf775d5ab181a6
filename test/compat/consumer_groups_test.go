//go:build compat

package compat

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// speakers are the clients that speak the new group protocol.
func speakers(t *testing.T) []client {
	return slices.DeleteFunc(present(t), func(c client) bool { return !c.consumerProtocol })
}

// TestMigration has a group change its protocol while it runs: members of the one
// join those of the other, which leave. Nothing is read by two or by nobody.
func TestMigration(t *testing.T) {
	for _, c := range speakers(t) {
		for _, classic := range []string{"eager", "cooperative"} {
			t.Run(c.name+" from "+classic, func(t *testing.T) {
				if c.keepsUserData && classic == "cooperative" {
					t.Skip("the group stays classic, as with Kafka")
				}
				rebalance(t, append(all(classic, c, c), all("consumer", c, c)...), "migrates=true")
			})
			t.Run(c.name+" back to "+classic, func(t *testing.T) {
				rebalance(t, append(all("consumer", c, c), all(classic, c, c)...), "migrates=true")
			})
		}
	}
}

// TestTwentyMembers has twenty members of the new protocol come and go, several at
// a time, while others read.
func TestTwentyMembers(t *testing.T) {
	clients := speakers(t)
	if len(clients) == 0 {
		t.Skip("no client here speaks the new protocol")
	}
	light := clients[len(clients)-1] // most are of the one that takes least
	topic := "twenty-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	const parts = 24
	createTopic(t, topic, parts)
	stop := produceSlowly(t, topic, parts)
	var g gathering
	join := func(n int) {
		for i := range n {
			c := light
			if i == 0 {
				c = clients[0]
			}
			g.all = append(g.all, start(t, c, "group", topic, "group="+topic, "strategy=consumer"))
			g.in = append(g.in, g.all[len(g.all)-1])
		}
	}
	leave := func(n int) {
		for _, p := range g.in[:n] {
			p.input.Close()
		}
		for _, p := range g.in[:n] {
			p.finish(t)
		}
		g.in = slices.Clone(g.in[n:])
	}
	settle := func() {
		g.awaitShares(t, parts)
		g.awaitRecords(t)
	}
	join(5)
	settle()
	join(8)
	leave(3) // while those are joining
	join(7)
	settle()
	leave(9)
	join(3)
	settle()
	leave(len(g.in) - 1)
	settle()
	ends := stop()
	g.awaitEnds(t, ends)
	leave(1)
	wantOneReader(t, g.all)
	wantAllRead(t, g.all, ends, 0)
	wantCommitted(t, topic, topic, ends)
}

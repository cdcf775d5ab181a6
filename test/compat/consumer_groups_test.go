//go:build compat

package compat

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
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

// TestToolsSeeConsumerGroups: Apache's tools tell of a group of the new protocol
// what they tell of one of Kafka's.
func TestToolsSeeConsumerGroups(t *testing.T) {
	clients := speakers(t)
	if len(clients) == 0 {
		t.Skip("no client here speaks the new protocol")
	}
	topic := "seen-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	createTopic(t, topic, 2)
	member := start(t, clients[0], "group", topic, "group="+topic, "strategy=consumer")
	g := gathering{all: []*process{member}, in: []*process{member}}
	g.awaitShares(t, 2)
	const groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	for _, run := range []struct {
		args []string
		want []string
	}{
		{[]string{groups, "--describe", "--group", topic, "--state"}, []string{"uniform", "Stable"}},
		{[]string{groups, "--describe", "--group", topic, "--members", "--verbose"}, []string{topic + ":0,1", "TARGET-EPOCH"}},
		{[]string{groups, "--list", "--type"}, []string{topic, "Consumer"}},
		{[]string{"org.apache.kafka.tools.GroupsCommand", "--list", "--group-type", "consumer"}, []string{topic}},
	} {
		cmd, err := brokers.Tool(run.args[0], append([]string{"--bootstrap-server", broker(t).Addr}, run.args[1:]...)...)
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.CombinedOutput()
		for _, want := range run.want {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v: %v; no %q in\n%s", run.args, err, want, out)
			}
		}
	}
	member.input.Close()
	member.finish(t)
}

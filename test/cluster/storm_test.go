//go:build cluster

package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
)

// stormRounds is how often something happens to a node, unless CLUSTER_ROUNDS says
// otherwise.
const stormRounds = 8

// TestStorm has something happen to one node after the other, by chance, while
// clients of all kinds are at work: no more than one at a time, and the next when all
// are in sync again.
func TestStorm(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 1))
	rounds := number(t, "CLUSTER_ROUNDS", stormRounds)
	c := startCluster(t, map[string]string{
		"log.segment.bytes": "1048576", "offsets.topic.num.partitions": "4", "log.segment.delete.delay.ms": "100",
	})
	targets := createTopic(t, c, "busy", 3, nil)
	targets = append(targets, createTopic(t, c, "wide", 6, nil)...)
	tr := startTraffic(t, c, targets)
	var happened []string
	for range rounds {
		n := c.Nodes[rng.IntN(nodes)]
		m := mishaps[rng.IntN(len(mishaps))]
		happened = append(happened, fmt.Sprintf("%s %s", n.Name, m.name))
		m.do(t, rng, n)
		tr.awaitProgress()
		time.Sleep(upTo(rng, 500*time.Millisecond))
		wakeAll(t, c)
		tr.awaitProgress()
		tr.look()
		if t.Failed() {
			break
		}
	}
	t.Log(happened)
	tr.stop()
	compareReplicas(t, c)
}

// mishap is what may happen to a node.
type mishap struct {
	name string
	do   func(t *testing.T, rng *rand.Rand, n *brokers.Node)
}

var mishaps = []mishap{
	{"is killed", func(t *testing.T, _ *rand.Rand, n *brokers.Node) { must(t, n.Kill()) }},
	{"is killed and started at once", func(t *testing.T, rng *rand.Rand, n *brokers.Node) {
		must(t, n.Kill())
		must(t, n.Launch())
		time.Sleep(upTo(rng, 100*time.Millisecond))
	}},
	{"is killed as it starts", func(t *testing.T, rng *rand.Rand, n *brokers.Node) {
		must(t, n.Kill())
		must(t, n.Launch())
		time.Sleep(upTo(rng, 200*time.Millisecond))
		must(t, n.Kill())
	}},
	{"is stopped in order", func(t *testing.T, _ *rand.Rand, n *brokers.Node) { must(t, n.Stop()) }},
	{"hangs", func(t *testing.T, _ *rand.Rand, n *brokers.Node) { must(t, n.Pause()) }},
	{"hangs for a moment", func(t *testing.T, rng *rand.Rand, n *brokers.Node) {
		must(t, n.Pause())
		time.Sleep(upTo(rng, 3*time.Second))
		must(t, n.Continue())
	}},
	{"loses its disk", func(t *testing.T, _ *rand.Rand, n *brokers.Node) {
		must(t, n.Kill())
		must(t, n.Wipe())
	}},
}

// upTo returns a time by chance.
func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most)))
}

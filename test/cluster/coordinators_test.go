//go:build cluster

package cluster

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/copier"
)

const txnPartitions = 4

// flightsPerMishap are copied between two mishaps: as many as are under way when one
// comes.
const flightsPerMishap = 6_000

// copyMishap is what may happen while a topic is copied.
type copyMishap struct {
	name string
	to   func(t *testing.T, c *brokers.Cluster) *brokers.Node // nil: to the copier
	do   func(*brokers.Node) error
}

// copyMishaps are all: to whoever coordinates the group or the transactions or leads a
// partition of the copy, and to the copier.
func copyMishaps() (all []copyMishap) {
	nodes := map[string]func(t *testing.T, c *brokers.Cluster) *brokers.Node{
		"the group's coordinator":       func(t *testing.T, c *brokers.Cluster) *brokers.Node { return groupCoordinator(t, c, copier.Name) },
		"the transaction's coordinator": func(t *testing.T, c *brokers.Cluster) *brokers.Node { return txnCoordinator(t, c, copier.Name) },
		"a leader of the copy": func(t *testing.T, c *brokers.Cluster) *brokers.Node {
			return leader(t, c, protocol.TopicPartition{Topic: copier.To})
		},
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		all = append(all,
			copyMishap{name + " is killed", nodes[name], func(n *brokers.Node) error { return n.Kill() }},
			copyMishap{name + " hangs", nodes[name], func(n *brokers.Node) error { return n.Pause() }})
	}
	return append(all, copyMishap{name: "the copier is killed"})
}

// TestExactlyOnce copies flights from one topic into another in transactions, while
// one thing after the other happens, in an order by chance: CLUSTER_ROUNDS times, or
// each once. Readers of committed records find each flight exactly once.
func TestExactlyOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 2))
	mishaps := copyMishaps()
	rounds := number(t, "CLUSTER_ROUNDS", len(mishaps))
	c := startCluster(t, map[string]string{
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
		"offsets.topic.num.partitions":                                strconv.Itoa(groupPartitions),
		"transaction.state.log.num.partitions":                        strconv.Itoa(txnPartitions),
	})
	cp, flights := copier.New(t, c.Seeds(), nodes), copier.Flights(t)
	for round := range rounds {
		if round%len(mishaps) == 0 {
			rng.Shuffle(len(mishaps), func(i, j int) { mishaps[i], mishaps[j] = mishaps[j], mishaps[i] })
		}
		m := mishaps[round%len(mishaps)]
		cp.Feed(flights[round*flightsPerMishap%(len(flights)-flightsPerMishap):][:flightsPerMishap])
		time.Sleep(upTo(rng, 500*time.Millisecond))
		t.Log(m.name)
		if m.to == nil {
			cp.Kill()
		} else {
			failForAWhile(t, c, m.to(t, c), m.do)
		}
	}
	cp.AwaitCopied()
	cp.Check()
	t.Logf("%d flights, %d mishaps, %d records were written for them in all", rounds*flightsPerMishap, rounds, cp.Written)
	compareReplicas(t, c)
}

// failForAWhile does something to a node, and lets it run again when the others have
// taken over: one that hung goes on with what it believes.
func failForAWhile(t *testing.T, c *brokers.Cluster, n *brokers.Node, do func(*brokers.Node) error) {
	t.Helper()
	led := ledBy(t, c, n, slices.Concat(partitionsOf("__transaction_state", txnPartitions), partitionsOf("__consumer_offsets", groupPartitions),
		partitionsOf(copier.To, copier.Partitions)))
	must(t, do(n))
	_, err := c.AwaitLeader(t.Context(), led, n)
	must(t, err)
	wakeAll(t, c)
}

// ledBy is a partition that a node leads: all that it led goes to others together.
func ledBy(t *testing.T, c *brokers.Cluster, n *brokers.Node, among []protocol.TopicPartition) protocol.TopicPartition {
	t.Helper()
	for _, tp := range among {
		if leader(t, c, tp) == n {
			return tp
		}
	}
	t.Fatalf("%s leads nothing", n.Name)
	return protocol.TopicPartition{}
}

func groupCoordinator(t *testing.T, c *brokers.Cluster, group string) *brokers.Node {
	t.Helper()
	return coordinator(t, c, func(adm *kadm.Client) kadm.FindCoordinatorResponse {
		return adm.FindGroupCoordinators(t.Context(), group)[group]
	})
}

func txnCoordinator(t *testing.T, c *brokers.Cluster, id string) *brokers.Node {
	t.Helper()
	return coordinator(t, c, func(adm *kadm.Client) kadm.FindCoordinatorResponse {
		return adm.FindTxnCoordinators(t.Context(), id)[id]
	})
}

func coordinator(t *testing.T, c *brokers.Cluster, find func(*kadm.Client) kadm.FindCoordinatorResponse) (n *brokers.Node) {
	t.Helper()
	adm := admin(t, c)
	defer adm.Close()
	must(t, eventually(t.Context(), func() error {
		found := find(adm)
		if found.Err != nil {
			return found.Err
		}
		if n = c.Node(found.NodeID); n == nil {
			return errNotYet
		}
		return nil
	}))
	return n
}

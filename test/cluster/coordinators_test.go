//go:build cluster

package cluster

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/copier"
)

// coordinatorKills is how often a node or the copier is killed, unless
// CLUSTER_ROUNDS says otherwise.
const coordinatorKills = 8

const txnPartitions = 4

// flightsPerKill are copied between two kills: as many as are under way when one
// comes.
const flightsPerKill = 10_000

// TestExactlyOnce copies flights from one topic into another in transactions, while
// now the group's coordinator, now the transaction's and now the copier is killed, or
// the transaction's coordinator hangs. Readers of committed records find each flight
// exactly once.
func TestExactlyOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 2))
	rounds := number(t, "CLUSTER_ROUNDS", coordinatorKills)
	c := startCluster(t, map[string]string{
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
		"offsets.topic.num.partitions":                                "4",
		"transaction.state.log.num.partitions":                        strconv.Itoa(txnPartitions),
	})
	cp, flights := copier.New(t, c.Seeds(), nodes), copier.Flights(t)
	for round := range rounds {
		cp.Feed(flights[round*flightsPerKill%(len(flights)-flightsPerKill):][:flightsPerKill])
		time.Sleep(time.Duration(rng.Int64N(int64(500 * time.Millisecond))))
		switch round % 4 {
		case 0:
			killForAWhile(t, c, groupCoordinator(t, c, copier.Name))
		case 1:
			killForAWhile(t, c, txnCoordinator(t, c, copier.Name))
		case 2:
			cp.Kill()
		case 3:
			hangForAWhile(t, c, txnCoordinator(t, c, copier.Name))
		}
	}
	cp.AwaitCopied()
	cp.Check()
	t.Logf("%d flights, %d kills of the copier, %d kills and pauses of coordinators; %d records were written for them in all",
		rounds*flightsPerKill, cp.Kills, rounds-cp.Kills, cp.Written)
	compareReplicas(t, c)
}

// killForAWhile kills a node, and starts it again when the others have taken over.
func killForAWhile(t *testing.T, c *brokers.Cluster, n *brokers.Node) {
	t.Helper()
	must(t, n.Kill())
	for groupCoordinator(t, c, copier.Name) == n || txnCoordinator(t, c, copier.Name) == n {
		time.Sleep(10 * time.Millisecond)
	}
	must(t, n.Start(t.Context()))
	awaitInSync(t, c)
}

// hangForAWhile has a node hang until the others have taken over, and then go on with
// what it believes.
func hangForAWhile(t *testing.T, c *brokers.Cluster, n *brokers.Node) {
	t.Helper()
	must(t, n.Pause())
	_, err := c.AwaitLeader(t.Context(), coordinatorOf(t, c, n), n)
	must(t, err)
	must(t, n.Continue())
	awaitInSync(t, c)
}

// coordinatorOf is a partition of the transactions that a node leads.
func coordinatorOf(t *testing.T, c *brokers.Cluster, n *brokers.Node) protocol.TopicPartition {
	t.Helper()
	for _, tp := range partitionsOf("__transaction_state", txnPartitions) {
		if l, err := c.Leadership(tp); err == nil && l.Leader == n {
			return tp
		}
	}
	t.Fatalf("%s leads no transactions", n.Name)
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

//go:build cluster

package cluster

import (
	"testing"
	"time"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
)

// failure is what happens to a cluster, and how long a producer may go without an
// acknowledgement then.
type failure struct {
	name     string
	limit    time.Duration
	together bool // the leader is the active controller too
	do       func(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition)
}

var failures = []failure{
	{"the leader is killed", allowed.leader, false, killLeader},
	{"the leader that is the active controller too is killed", allowed.both, true, killLeader},
	{"the active controller is killed", allowed.controller, false, killController},
	{"the leader hangs", allowed.paused, false, pauseLeader},
	{"the leader that is the active controller too hangs", allowed.paused, true, pauseLeader},
	{"all are restarted in order", allowed.rolling, false, rollAll},
}

// TestFailover measures for how long a producer goes without an acknowledgement
// when a node is killed, hangs or is restarted in order.
func TestFailover(t *testing.T) {
	c := startCluster(t, nil)
	tp := createTopic(t, c, "pulse", 1, nil)[0]
	p := startPulse(t, c, tp, hasty...)
	wantAllShort(t, c, tp, p.through)
	p.stop()
	compareReplicas(t, c)
}

// wantAllShort lets all failures happen while a producer writes to a partition; through
// is how it measures one.
func wantAllShort(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition, through func(*testing.T, failure) time.Duration) {
	t.Helper()
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			wantShort(t, f, func() time.Duration {
				arrange(t, c, tp, f.together)
				return through(t, f)
			})
		})
	}
}

// failuresApart are those of a cluster whose controllers are no brokers.
var failuresApart = []failure{
	{name: "the leader is killed", limit: allowed.leader, do: killLeader},
	{name: "the active controller is killed", limit: allowed.controller, do: killController},
	{name: "the leader and the active controller are killed", limit: allowed.both, do: killBoth},
	{name: "the leader hangs", limit: allowed.paused, do: pauseLeader},
	{name: "all brokers are restarted in order", limit: allowed.rolling, do: rollAll},
}

// TestFailoverApart is TestFailover where the controllers are no brokers.
func TestFailoverApart(t *testing.T) {
	c := startApart(t, nil)
	tp := createTopic(t, c, "pulse", 1, nil)[0]
	p := startPulse(t, c, tp, hasty...)
	for _, f := range failuresApart {
		t.Run(f.name, func(t *testing.T) {
			wantShort(t, f, func() time.Duration { return p.through(t, f) })
		})
	}
	p.stop()
	compareReplicas(t, c)
}

// through returns for how long nothing was acknowledged while something happened, and
// brings all nodes back.
func (p *pulse) through(t *testing.T, f failure) time.Duration {
	t.Helper()
	p.awaitSteady()
	gap := p.during(func() { f.do(t, p.cluster, p.target) })
	wakeAll(t, p.cluster)
	p.awaitSteady()
	return gap
}

// wantShort says how long nothing was acknowledged, and fails the test where that was
// too long. One measurement that is too long may be the machine's fault, which has
// other things to do: then the shorter of two counts. What clients saw and what is on
// the disks has to be right each time.
func wantShort(t *testing.T, f failure, measure func() time.Duration) {
	t.Helper()
	gap := measure()
	t.Logf("%s without an acknowledgement", gap.Round(time.Millisecond))
	if gap <= f.limit {
		return
	}
	again := measure()
	t.Logf("%s without an acknowledgement the second time", again.Round(time.Millisecond))
	if again > f.limit {
		t.Errorf("%s and %s without an acknowledgement, the limit is %s", gap, again, f.limit)
	}
}

// arrange makes the partition's leader the active controller too, or another node.
func arrange(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition, together bool) {
	t.Helper()
	active := controller(t, c)
	to := active
	if !together {
		to = c.Others(active)[0]
	}
	if leader(t, c, tp) != to {
		moveLeader(t, c, tp, to)
	}
}

func killLeader(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) {
	must(t, leader(t, c, tp).Kill())
}

func killController(t *testing.T, c *brokers.Cluster, _ protocol.TopicPartition) {
	must(t, controller(t, c).Kill())
}

func killBoth(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) {
	killController(t, c, tp)
	killLeader(t, c, tp)
}

func pauseLeader(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) {
	must(t, leader(t, c, tp).Pause())
}

// rollAll stops and starts one node after the other, and goes on to the next when
// all are in sync.
func rollAll(t *testing.T, c *brokers.Cluster, _ protocol.TopicPartition) {
	for _, n := range c.Nodes {
		must(t, n.Stop())
		must(t, n.Start(t.Context()))
		awaitInSync(t, c)
	}
}

// wakeAll lets every node run that does not, and waits until all are in sync.
func wakeAll(t *testing.T, c *brokers.Cluster) {
	t.Helper()
	for _, n := range c.All() {
		switch {
		case n.PID() == 0:
			must(t, n.Launch())
		case !n.Awake():
			must(t, n.Continue())
		}
	}
	awaitInSync(t, c)
}

//go:build cluster

package cluster

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
)

// TestFailover measures for how long a producer goes without an acknowledgement
// when a node is killed, hangs or is restarted in order.
func TestFailover(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit time.Duration
		opts  []kgo.Opt
		// arrange makes the nodes what they are when do comes.
		together bool // the leader is the active controller too
		do       func(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition)
	}{
		{"the leader is killed", allowed.leader, nil, false, killLeader},
		{"the leader that is the active controller too is killed", allowed.both, nil, true, killLeader},
		{"the active controller is killed", allowed.controller, nil, false, killController},
		{"the leader hangs", allowed.paused, hasty, false, pauseLeader},
		{"the leader that is the active controller too hangs", allowed.paused, hasty, true, pauseLeader},
		{"all are restarted in order", allowed.rolling, nil, false, rollAll},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := startCluster(t, nil)
			tp := createTopic(t, c, "pulse", 1, nil)[0]
			arrange(t, c, tp, tt.together)
			p := startPulse(t, c, tp, tt.opts...)
			gap := p.during(func() { tt.do(t, c, tp) })
			t.Logf("%s without an acknowledgement", gap.Round(time.Millisecond))
			if gap > tt.limit {
				t.Errorf("%s without an acknowledgement, the limit is %s", gap, tt.limit)
			}
			healAndCompare(t, c, p)
		})
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

// healAndCompare lets all nodes run, waits until they are in sync, stops the
// producer, and compares what the nodes hold.
func healAndCompare(t *testing.T, c *brokers.Cluster, p *pulse) {
	t.Helper()
	wakeAll(t, c)
	p.awaitSteady()
	p.stop()
	compareReplicas(t, c)
}

// wakeAll lets every node run that does not, and waits until all are in sync.
func wakeAll(t *testing.T, c *brokers.Cluster) {
	t.Helper()
	for _, n := range c.Nodes {
		switch {
		case n.PID() == 0:
			must(t, n.Start(t.Context()))
		case !n.Awake():
			must(t, n.Continue())
		}
	}
	awaitInSync(t, c)
}

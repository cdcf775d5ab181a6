//go:build cluster

package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/history"
	"github.com/klamm-io/klamm/test/load"
)

// strangerStays is how long a node that must not get in is let try.
const strangerStays = 5 * time.Second

// TestOtherCluster starts a node whose folder is another cluster's. It stays out and
// says why, and the others go on; formatted for this cluster it gets in.
func TestOtherCluster(t *testing.T) {
	c := startCluster(t, nil)
	targets := createTopic(t, c, "busy", 1, nil)
	tr := startTraffic(t, c, targets)
	n := c.Others(controller(t, c))[0]
	must(t, n.Stop())
	must(t, n.WipeFor("b3RoZXItY2x1c3Rlci0wMQ"))
	awaitForgotten(t, c, n)
	must(t, n.Launch())
	wantStranger(t, c, n)
	if !apache { // which has no logger here
		wantSaid(t, n, "b3RoZXItY2x1c3Rlci0wMQ")
	}
	must(t, n.Kill())
	must(t, n.Wipe())
	must(t, n.Start(t.Context()))
	awaitInSync(t, c)
	tr.awaitProgress()
	tr.stop()
	compareReplicas(t, c)
}

// wantStranger fails the test where a node that was launched is taken for one of
// the cluster's, or disturbs it.
func wantStranger(t *testing.T, c *brokers.Cluster, stranger *brokers.Node) {
	t.Helper()
	for until := time.Now().Add(strangerStays); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		for _, n := range c.Others(stranger) {
			addrs, err := n.Brokers()
			if err != nil {
				t.Fatal(err)
			}
			if addrs[stranger.ID] == stranger.Addr {
				t.Fatalf("%s was taken in by %s", stranger.Name, n.Name)
			}
		}
	}
}

// wantSaid waits until a node has printed a line of a problem with the word.
func wantSaid(t *testing.T, n *brokers.Node, word string) {
	t.Helper()
	err := eventually(t.Context(), func() error {
		lines, err := n.Lines(word)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") || !strings.Contains(line, "level=") {
				t.Logf("%s says: %s", n.Name, line)
				return nil
			}
		}
		return errNotYet
	})
	if err != nil {
		t.Errorf("%s does not say why it stays out:\n%s", n.Name, n.Output())
	}
}

// awaitForgotten waits until the others do not tell of a node any more, which they do
// for some time after it stopped.
func awaitForgotten(t *testing.T, c *brokers.Cluster, gone *brokers.Node) {
	t.Helper()
	must(t, eventually(t.Context(), func() error {
		for _, n := range c.Others(gone) {
			known, err := n.Brokers()
			if err != nil {
				return err
			}
			if _, told := known[gone.ID]; told {
				return errNotYet
			}
		}
		return nil
	}))
}

// TestUsedNodeID starts a broker with the id that another one has. It stays out
// while the other one lives, which goes on undisturbed.
func TestUsedNodeID(t *testing.T) {
	c := startCluster(t, nil)
	first, err := c.Join(nodes + 1)
	must(t, err)
	must(t, first.Start(t.Context()))
	awaitInSync(t, c)
	second, err := c.Join(nodes + 1)
	must(t, err)
	must(t, second.Launch())
	wantStranger(t, c, second)
	if !apache {
		wantSaid(t, second, "another broker with the id")
	}
	must(t, second.Kill())
	must(t, c.Leave(second))
	awaitInSync(t, c)
}

// TestForgedReplica has a client fetch as if it were the followers, which hang.
// Nothing may be committed by that. Kafka, without an authorizer, lets it.
func TestForgedReplica(t *testing.T) {
	if apache {
		t.Skip("Kafka asks only an authorizer who may fetch as a replica")
	}
	c := startCluster(t, map[string]string{"replica.lag.time.max.ms": "600000"})
	tp := createTopic(t, c, "t", 1, nil)[0]
	produceKeys(t, c, tp, 1)
	n := leader(t, c, tp)
	for _, other := range c.Others(n) {
		must(t, other.Pause())
	}
	cl := history.NewClient(t, history.Patience([]string{n.Addr}, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite()))
	acked := make(chan error, 1)
	cl.Produce(t.Context(), &kgo.Record{Topic: tp.Topic, Partition: tp.Partition, Value: []byte("x")}, func(_ *kgo.Record, err error) { acked <- err })
	for range 20 {
		for _, other := range c.Others(n) {
			for offset := range int64(3) {
				forge(t, n, tp, other.ID, offset)
			}
		}
		select {
		case err := <-acked:
			t.Fatalf("a record was acknowledged that no follower has (%v)", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	wakeAll(t, c)
	if err := <-acked; err != nil {
		t.Errorf("the record was not acknowledged after all: %v", err)
	}
	compareReplicas(t, c)
}

// forge fetches as a replica, which must be refused.
func forge(t *testing.T, n *brokers.Node, tp protocol.TopicPartition, replica int32, offset int64) {
	t.Helper()
	req := load.Fetch(tp.Topic, tp.Partition, offset, 1<<20)
	req.ReplicaID, req.MaxWaitMillis = replica, 0
	resp, err := n.Ask(req)
	if err != nil {
		return // it hung up
	}
	answer := resp.(*kmsg.FetchResponse)
	code := answer.ErrorCode
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			code = max(code, p.ErrorCode)
		}
	}
	if code == 0 {
		t.Errorf("a fetch as replica %d was answered, want %v", replica, kerr.ClusterAuthorizationFailed)
	}
}

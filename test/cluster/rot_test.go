//go:build cluster

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
)

// TestRot turns over a bit in what the leader's disk keeps of a partition, and then in
// a follower's, under traffic. Each finds it, and copies what it lost from another; the
// history has every record, and in the end the replicas are the same. A replica that
// has no other stays damaged, and the health of the cluster says so.
func TestRot(t *testing.T) {
	if apache {
		t.Skip("Apache Kafka does not look for damage by itself")
	}
	c := startCluster(t, map[string]string{"klamm.scrub.interval.ms": "1000"})
	targets := createTopic(t, c, "busy", 3, nil)
	tr := startTraffic(t, c, targets)
	rotten := targets[0]
	produceKeys(t, c, rotten, 1000)
	first := leader(t, c, rotten)
	for _, victim := range []*brokers.Node{first, c.Others(first)[0]} {
		tr.awaitProgress()
		flipBit(t, victim, rotten)
		must(t, eventually(t.Context(), func() error { return hasLogged(victim, "a replica that was damaged has been copied anew") }))
		awaitInSync(t, c)
	}
	tr.awaitProgress()
	tr.stop()
	compareReplicas(t, c)

	must(t, c.Start(t.Context()))
	_, err := admin(t, c).CreateTopic(t.Context(), 1, 1, map[string]*string{"min.insync.replicas": kadm.StringPtr("1")}, "sole")
	must(t, err)
	sole := protocol.TopicPartition{Topic: "sole"}
	produceKeys(t, c, sole, 10)
	flipBit(t, leader(t, c, sole), sole)
	binary, err := brokers.BuildKlamm()
	must(t, err)
	must(t, eventually(t.Context(), func() error {
		out, _ := exec.CommandContext(t.Context(), binary, "cluster", "health", "-b", c.Seeds()[0]).CombinedOutput()
		if !strings.Contains(string(out), "1 replica is damaged on its disk, and no other replica is in sync") {
			return fmt.Errorf("%w: the health is %s", errNotYet, out)
		}
		return nil
	}))
}

// hasLogged reports whether a node has logged something.
func hasLogged(n *brokers.Node, text string) error {
	lines, err := n.Lines(text)
	if err == nil && len(lines) == 0 {
		err = fmt.Errorf("%w: broker %d has not logged %q", errNotYet, n.ID, text)
	}
	return err
}

// flipBit turns over a bit of the first records of a partition on a node's disk.
func flipBit(t *testing.T, n *brokers.Node, tp protocol.TopicPartition) {
	t.Helper()
	name := filepath.Join(n.Data, tp.String(), "00000000000000000000.log")
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	b := make([]byte, 1)
	_, err = file.ReadAt(b, 100)
	must(t, err)
	b[0] ^= 1
	_, err = file.WriteAt(b, 100)
	must(t, err)
}

//go:build cluster

package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/history"
)

// TestLostDisk takes a node's disk away, and then that of another: each comes back
// with an empty folder and gets all that it should have.
func TestLostDisk(t *testing.T) {
	c := startCluster(t, nil)
	targets := createTopic(t, c, "busy", 3, nil)
	tr := startTraffic(t, c, targets)
	active := controller(t, c)
	for _, n := range []*brokers.Node{c.Others(active)[0], active} {
		must(t, n.Kill())
		must(t, n.Wipe())
		tr.awaitProgress()
		must(t, n.Start(t.Context()))
		awaitInSync(t, c)
		tr.awaitProgress()
	}
	tr.stop()
	compareReplicas(t, c)
}

// TestOldFolder brings a node's folder back as it was some time ago, as from a
// backup. What the node had confirmed since is copied to it again.
func TestOldFolder(t *testing.T) {
	c := startCluster(t, nil)
	targets := createTopic(t, c, "busy", 3, nil)
	tr := startTraffic(t, c, targets)
	n := c.Others(controller(t, c))[0]
	must(t, n.Stop())
	backup := filepath.Join(t.TempDir(), "backup")
	must(t, os.CopyFS(backup, os.DirFS(n.Data)))
	must(t, n.Start(t.Context()))
	awaitInSync(t, c)
	createTopic(t, c, "new", 1, nil)
	tr.awaitProgress()

	must(t, n.Stop())
	must(t, os.RemoveAll(n.Data))
	must(t, os.CopyFS(n.Data, os.DirFS(backup)))
	must(t, n.Start(t.Context()))
	awaitInSync(t, c)
	tr.awaitProgress()
	tr.stop()
	compareReplicas(t, c)
}

// TestMissedMuch has a node down while the others produce, delete records, compact,
// change leaders, and make and delete topics.
func TestMissedMuch(t *testing.T) {
	c := startCluster(t, map[string]string{
		"log.cleaner.backoff.ms": "100", "log.retention.check.interval.ms": "500", "log.segment.delete.delay.ms": "100",
		"log.initial.task.delay.ms": "100",
	})
	small := map[string]string{"segment.bytes": "1048576"}
	targets := createTopic(t, c, "busy", 3, small)
	cut := createTopic(t, c, "cut", 1, small)[0]
	keyed := createTopic(t, c, "keyed", 1, map[string]string{
		"cleanup.policy": "compact", "segment.bytes": "1048576", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "500",
	})[0]
	doomed := createTopic(t, c, "doomed", 1, nil)[0]
	tr := startTraffic(t, c, targets)
	produceKeys(t, c, cut, 3000)
	produceKeys(t, c, keyed, 3000)
	produceKeys(t, c, doomed, 10)

	down := c.Others(controller(t, c))[0]
	must(t, down.Kill())
	tr.awaitProgress()
	produceKeys(t, c, cut, 6000)
	produceKeys(t, c, keyed, 6000)
	deleteRecords(t, c, cut, 7000)
	_, err := admin(t, c).DeleteTopic(t.Context(), doomed.Topic)
	must(t, err)
	awaitCompacted(t, c, c.Others(down), keyed, 6000)
	for _, n := range c.Others(down) { // the leaders change, and change back
		must(t, n.Stop())
		must(t, n.Start(t.Context()))
		tr.awaitProgress()
	}
	must(t, down.Start(t.Context()))
	awaitInSync(t, c)
	awaitGone(t, c, doomed)
	tr.awaitProgress()
	tr.stop()
	compareReplicas(t, c)
}

// keyKinds are the keys of what produceKeys writes: all but the last of each may go.
const keyKinds = 10

func produceKeys(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition, n int) {
	t.Helper()
	cl := history.NewClient(t, history.Patience(c.Seeds(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(64<<10)))
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{
			Topic: tp.Topic, Partition: tp.Partition, Key: fmt.Append(nil, i%keyKinds), Value: history.Encode(history.Record{Producer: 100, Seq: int64(i)}),
		})
	}
	must(t, cl.ProduceSync(t.Context(), records...).FirstErr())
}

func deleteRecords(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition, before int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: tp.Topic, Partition: tp.Partition, At: before, LeaderEpoch: -1})
	// A replica that is down does not delete, and the answer waits for those in sync.
	must(t, eventually(t.Context(), func() error {
		answers, err := admin(t, c).DeleteRecords(t.Context(), offsets)
		if err != nil {
			return err
		}
		return answers.Error()
	}))
}

// awaitCompacted waits until a partition's segments hold fewer bytes than so many
// records on each of the nodes. It writes now and then: the last segment is
// compacted only when there is another.
func awaitCompacted(t *testing.T, c *brokers.Cluster, on []*brokers.Node, tp protocol.TopicPartition, records int) {
	t.Helper()
	const least = 30 // bytes of a record that produceKeys writes
	must(t, eventually(t.Context(), func() error {
		produceKeys(t, c, tp, 1)
		for _, n := range on {
			size, err := logSize(n, tp)
			if err != nil {
				return err
			}
			if size > int64(records*least) {
				return fmt.Errorf("%s has %d bytes of %s", n.Name, size, tp)
			}
		}
		return nil
	}))
}

func logSize(n *brokers.Node, tp protocol.TopicPartition) (total int64, err error) {
	segments, err := filepath.Glob(filepath.Join(n.Data, tp.String(), "*.log"))
	for _, path := range segments {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, os.ErrNotExist): // it was just replaced
		case err != nil:
			return 0, err
		default:
			total += info.Size()
		}
	}
	return total, err
}

// awaitGone waits until no node has the partition on its disk.
func awaitGone(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) {
	t.Helper()
	for _, n := range c.Nodes {
		must(t, eventually(t.Context(), func() error {
			left, err := foldersLike(n, tp.String())
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("%s still has %v", n.Name, left)
			}
			return err
		}))
	}
}

// foldersLike are the folders in a node's data whose names begin with prefix. Kafka
// keeps what was deleted while it was down, under the name of a stray.
func foldersLike(n *brokers.Node, prefix string) ([]string, error) {
	left, err := filepath.Glob(filepath.Join(n.Data, prefix+"*"))
	if apache {
		left = slices.DeleteFunc(left, func(path string) bool { return strings.HasSuffix(path, "-stray") })
	}
	return left, err
}

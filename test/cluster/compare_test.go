//go:build cluster

package cluster

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/replicas"
)

// compareReplicas stops all nodes and compares what they hold of every partition
// up to its high watermark. Nothing may write meanwhile.
func compareReplicas(t *testing.T, c *brokers.Cluster) {
	t.Helper()
	awaitInSync(t, c)
	adm := admin(t, c)
	topics, err := adm.ListTopicsWithInternal(t.Context())
	must(t, err)
	ends, err := adm.ListEndOffsets(t.Context(), topics.Names()...)
	must(t, err)
	must(t, ends.Error())
	compacted := compactedTopics(t, adm, topics.Names())
	must(t, c.Stop())
	var logs, bytes int64
	ends.Each(func(end kadm.ListedOffset) {
		tp := protocol.TopicPartition{Topic: end.Topic, Partition: end.Partition}
		bytes += compareLogs(t, c, tp, topics[end.Topic].Partitions[end.Partition].Replicas, end.Offset, compacted[end.Topic])
		logs++
	})
	t.Logf("%d partitions with %d bytes are the same on all nodes", logs, bytes)
	if bytes == 0 {
		t.Error("nothing was compared")
	}
}

// compactedTopics are those among the topics of which not every record stays.
func compactedTopics(t *testing.T, adm *kadm.Client, topics []string) map[string]bool {
	t.Helper()
	configs, err := adm.DescribeTopicConfigs(t.Context(), topics...)
	must(t, err)
	found := map[string]bool{}
	for _, topic := range configs {
		must(t, topic.Err)
		for _, config := range topic.Configs {
			if config.Key == "cleanup.policy" && strings.Contains(config.MaybeValue(), "compact") {
				found[topic.Name] = true
			}
		}
	}
	return found
}

// compareLogs compares one partition and returns how many bytes that were.
func compareLogs(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition, ids []int32, end int64, compacted bool) (bytes int64) {
	t.Helper()
	var all []replicas.Replica
	for _, id := range ids {
		n := c.Node(id)
		r, err := replicas.Read(n.Name, n.Data, tp, end)
		if err != nil {
			t.Error(err)
			return 0
		}
		all = append(all, r)
		bytes += r.Bytes()
	}
	var differences []string
	if compacted {
		var err error
		if differences, err = replicas.SameCompacted(all); err != nil {
			t.Error(err)
		}
	} else {
		differences = replicas.Same(all, end)
	}
	for _, d := range differences[:min(len(differences), 10)] {
		t.Errorf("the replicas of %s up to offset %d differ: %s", tp, end, d)
	}
	return bytes
}

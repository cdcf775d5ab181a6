//go:build cluster

package cluster

import (
	"maps"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/copier"
	"github.com/klamm-io/klamm/test/history"
)

func TestMain(m *testing.M) { copier.Main(m) }

// nodes are those of every cluster.
const nodes = 3

// apache says whether the nodes are Apache Kafka's.
var apache = os.Getenv("KLAMM_CLUSTER_BROKER") == "apache"

// limits are the longest times that a producer may go without an acknowledgement.
type limits struct {
	leader     time.Duration // when its partition's leader is killed
	both       time.Duration // when that is the active controller too
	controller time.Duration // when only the active controller is
	paused     time.Duration // when the leader hangs
	rolling    time.Duration // when all nodes are stopped in order and started, one by one
}

// allowed are the limits. Kafka fences a broker that is gone only when its session
// has ended, after 9 s.
var allowed = func() limits {
	if apache {
		const long = 30 * time.Second
		return limits{long, long, long, long, long}
	}
	return limits{leader: time.Second, both: 2 * time.Second, controller: time.Second, paused: 4 * time.Second, rolling: time.Second}
}()

// startCluster starts three nodes, which end with the test; where it fails it shows
// what they printed. Settings are over those that all nodes have.
func startCluster(t *testing.T, settings map[string]string) *brokers.Cluster {
	t.Helper()
	c := makeCluster(t, settings)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// startApart is startCluster with three controllers apart from three brokers.
func startApart(t *testing.T, settings map[string]string) *brokers.Cluster {
	t.Helper()
	c := makeNodes(t, brokers.Options{Settings: settings, Controllers: nodes})
	must(t, c.Start(t.Context()))
	return c
}

// makeCluster is startCluster without the start.
func makeCluster(t *testing.T, settings map[string]string) *brokers.Cluster {
	t.Helper()
	return makeNodes(t, brokers.Options{Settings: settings})
}

func makeNodes(t *testing.T, opts brokers.Options) *brokers.Cluster {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	settings := map[string]string{ // members of the new protocol ask how it stands as often as those of the old one
		"group.consumer.min.heartbeat.interval.ms": "100", "group.consumer.heartbeat.interval.ms": "500",
	}
	maps.Copy(settings, opts.Settings)
	opts.Settings = settings
	create := brokers.KlammCluster
	if apache {
		create = brokers.ApacheCluster
	}
	c, err := create(nodes, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(c.Report())
		}
	})
	return c
}

// admin returns a client for changes.
func admin(t *testing.T, c *brokers.Cluster) *kadm.Client {
	t.Helper()
	return kadm.NewClient(history.NewClient(t, history.Patience(c.Seeds())))
}

// createTopic makes a topic with three replicas, of which two must be in sync for
// an acknowledgement, and waits until all are. It returns its partitions.
func createTopic(t *testing.T, c *brokers.Cluster, topic string, partitions int32, configs map[string]string) []protocol.TopicPartition {
	t.Helper()
	all := map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}
	for key, value := range configs {
		all[key] = &value
	}
	if _, err := admin(t, c).CreateTopic(t.Context(), partitions, nodes, all, topic); err != nil {
		t.Fatalf("create %s: %v", topic, err)
	}
	awaitInSync(t, c)
	return partitionsOf(topic, partitions)
}

func partitionsOf(topic string, partitions int32) (list []protocol.TopicPartition) {
	for p := range partitions {
		list = append(list, protocol.TopicPartition{Topic: topic, Partition: p})
	}
	return list
}

func awaitInSync(t *testing.T, c *brokers.Cluster) {
	t.Helper()
	if err := c.AwaitInSync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// leader returns who leads a partition, controller who is the active controller.
func leader(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) *brokers.Node {
	t.Helper()
	n, err := c.AwaitLeader(t.Context(), tp, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func controller(t *testing.T, c *brokers.Cluster) *brokers.Node {
	t.Helper()
	n, err := c.Controller(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// moveLeader makes a node the leader of a partition: it becomes the first of the
// replicas, and then the preferred one is elected.
func moveLeader(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition, to *brokers.Node) {
	t.Helper()
	adm := admin(t, c)
	replicas := []int32{to.ID}
	for _, n := range c.Others(to) {
		replicas = append(replicas, n.ID)
	}
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign(tp.Topic, tp.Partition, replicas)
	if _, err := adm.AlterPartitionAssignments(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	must(t, eventually(t.Context(), func() error {
		set := kadm.TopicsSet{}
		set.Add(tp.Topic, tp.Partition)
		_, err := adm.ElectLeaders(t.Context(), kadm.ElectPreferredReplica, set)
		if err != nil {
			return err
		}
		l, err := c.Leadership(tp)
		if err == nil && l.Leader != to {
			err = errNotYet
		}
		return err
	}))
	awaitInSync(t, c)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// seed returns what chance comes from, and has a failure print it.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := number(t, "CLUSTER_SEED", int(time.Now().UnixNano()%1_000_000))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run it again with CLUSTER_SEED=%d", s)
		}
	})
	return uint64(s)
}

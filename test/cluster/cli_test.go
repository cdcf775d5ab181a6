//go:build cluster

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
)

// cli is a command of klamm against a cluster.
func cli(t *testing.T, c *brokers.Cluster, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := brokers.BuildKlamm()
	must(t, err)
	return exec.CommandContext(t.Context(), binary, append(args, "--brokers", strings.Join(c.Seeds(), ","))...)
}

// services start nodes whenever they end, as service managers do: the goroutines own
// the nodes until stop.
type services struct {
	dir     string
	cancel  context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	err     error         // guarded by mu
	starts  map[int32]int // guarded by mu
}

// keepUp hands nodes that run to services.
func keepUp(t *testing.T, c *brokers.Cluster) *services {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &services{dir: t.TempDir(), cancel: cancel, starts: map[int32]int{}}
	for _, n := range c.Nodes {
		must(t, s.note(n))
		s.running.Go(func() {
			err := s.keepUp(ctx, n)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.err = errors.Join(s.err, err)
		})
	}
	t.Cleanup(s.stop)
	return s
}

func (s *services) keepUp(ctx context.Context, n *brokers.Node) error {
	for {
		if err := n.AwaitEnd(ctx); err != nil {
			return nil // the test is over
		}
		if err := n.Launch(); err != nil {
			return err
		}
		if err := s.note(n); err != nil {
			return err
		}
	}
}

// note writes down which process a node is.
func (s *services) note(n *brokers.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts[n.ID]++
	return os.WriteFile(s.pidFile(n), []byte(strconv.Itoa(n.PID())), 0o600)
}

func (s *services) pidFile(n *brokers.Node) string {
	return filepath.Join(s.dir, fmt.Sprint(n.ID))
}

// stop gives the nodes back.
func (s *services) stop() {
	s.cancel()
	s.running.Wait()
}

// TestClusterRestart restarts all nodes by `klamm cluster restart` while a producer is
// at work, which notices next to nothing.
func TestClusterRestart(t *testing.T) {
	if apache {
		t.Skip("Kafka's nodes take long to find each other again")
	}
	c := startCluster(t, nil)
	tp := createTopic(t, c, "pulse", 1, nil)[0]
	p := startPulse(t, c, tp, hasty...)
	all := failure{limit: allowed.rolling, do: restartByCLI}
	wantShort(t, all, func() time.Duration { return p.through(t, all) })
	p.stop()
	compareReplicas(t, c)
}

// restartByCLI restarts all nodes, whose services start them when they end.
func restartByCLI(t *testing.T, c *brokers.Cluster, _ protocol.TopicPartition) {
	s := keepUp(t, c)
	args := []string{"cluster", "restart", "--timeout", "1m"}
	for _, n := range c.Nodes {
		args = append(args, "--node", fmt.Sprintf("%d=kill -TERM $(cat %s)", n.ID, s.pidFile(n)))
	}
	if out, err := cli(t, c, args...).CombinedOutput(); err != nil {
		t.Errorf("klamm cluster restart: %v\n%s", err, out)
	}
	s.stop()
	must(t, s.err)
	for _, n := range c.Nodes {
		if s.starts[n.ID] != 2 {
			t.Errorf("%s was restarted %d times", n.Name, s.starts[n.ID]-1)
		}
	}
}

// healthReport is what `klamm cluster health -o json` says.
type healthReport struct {
	Healthy  bool
	Problems []struct {
		Severity, Kind string
		Where          []string
	}
}

func (r healthReport) String() string {
	var kinds []string
	for _, p := range r.Problems {
		kinds = append(kinds, fmt.Sprintf("%s %s %v", p.Severity, p.Kind, p.Where))
	}
	return strings.Join(kinds, ", ")
}

// has reports whether there is a problem of a kind, and where, if where is not empty.
func (r healthReport) has(kind, where string) bool {
	for _, p := range r.Problems {
		if p.Kind == kind && (where == "" || slices.ContainsFunc(p.Where, func(at string) bool { return strings.Contains(at, where) })) {
			return true
		}
	}
	return false
}

func healthOf(t *testing.T, c *brokers.Cluster) (r healthReport, err error) {
	t.Helper()
	out, err := cli(t, c, "cluster", "health", "-o", "json").Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	return r, err
}

// wantHealth waits until the health is as it should be.
func wantHealth(t *testing.T, c *brokers.Cluster, what string, so func(healthReport) bool) {
	t.Helper()
	err := eventually(t.Context(), func() error {
		r, err := healthOf(t, c)
		if err == nil && !so(r) {
			err = fmt.Errorf("it says: %s", r)
		}
		return err
	})
	if err != nil {
		t.Fatalf("the health was never so that %s: %v", what, err)
	}
}

// healthy says that nothing is wrong, but for the disk that the test runs on.
func healthy(r healthReport) bool {
	for _, p := range r.Problems {
		if !strings.HasPrefix(p.Kind, "disk_") {
			return false
		}
	}
	return true
}

// TestHealth has a node die and come back, and hears of all that follows from it for
// partitions that can do without it or not: `klamm cluster health` tells it, and that
// all is well again.
func TestHealth(t *testing.T) {
	c := startCluster(t, nil)
	down := c.Others(controller(t, c))[0]
	busy := createTopic(t, c, "busy", 1, nil)[0]
	createTopic(t, c, "strict", 1, map[string]string{"min.insync.replicas": "3"})
	assign(t, c, "single", down.ID)
	wantHealth(t, c, "all is well", healthy)

	must(t, down.Kill())
	for _, problem := range []struct{ kind, where string }{
		{"broker_fenced", "busy-0"}, {"partition_offline", "single-0"}, {"partition_under_min_isr", "strict-0"}, {"partition_at_min_isr", "busy-0"},
	} {
		wantHealth(t, c, fmt.Sprintf("%s at %s is told", problem.kind, problem.where), func(r healthReport) bool { return r.has(problem.kind, problem.where) && !r.Healthy })
	}
	produceKeys(t, c, busy, 40_000)
	throttle(t, c, busy, "1000") // bytes a second: it cannot catch up
	must(t, down.Start(t.Context()))
	wantHealth(t, c, "a replica is late", func(r healthReport) bool {
		return r.has("replica_late", "busy-0") && !r.has("broker_fenced", "") && !r.has("partition_offline", "") && !r.has("partition_under_min_isr", "strict-0")
	})
	throttle(t, c, busy, "")
	wantHealth(t, c, "all is well again", healthy)
}

// assign makes a topic of one partition on one node.
func assign(t *testing.T, c *brokers.Cluster, topic string, node int32) {
	t.Helper()
	adm := admin(t, c)
	_, err := adm.CreateTopic(t.Context(), 1, 1, nil, topic)
	must(t, err)
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign(topic, 0, []int32{node})
	_, err = adm.AlterPartitionAssignments(t.Context(), req)
	must(t, err)
	must(t, eventually(t.Context(), func() error {
		l, err := c.Leadership(protocol.TopicPartition{Topic: topic})
		if err == nil && (len(l.Replicas) != 1 || l.Leader == nil || l.Leader.ID != node) {
			err = errNotYet
		}
		return err
	}))
}

// throttle bounds how fast replicas of a partition are copied that are not in sync; an
// empty rate lets them go.
func throttle(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition, rate string) {
	t.Helper()
	set := func(key, value string) kadm.AlterConfig {
		if rate == "" {
			return kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key}
		}
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value}
	}
	adm := admin(t, c)
	topics, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{
		set("leader.replication.throttled.replicas", "*"), set("follower.replication.throttled.replicas", "*"),
	}, tp.Topic)
	must(t, err)
	must(t, topics[0].Err)
	nodes, err := adm.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{
		set("leader.replication.throttled.rate", rate), set("follower.replication.throttled.rate", rate),
	})
	must(t, err)
	for _, n := range nodes {
		must(t, n.Err)
	}
}

// TestHealthOfFullDisks fills the disk that all nodes are on, and empties it again.
func TestHealthOfFullDisks(t *testing.T) {
	const size = 256 << 20
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprint("size=", size)); err != nil {
		t.Skipf("left out: this user may not mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	c := makeNodes(t, brokers.Options{Dir: disk})
	must(t, c.Start(t.Context()))
	createTopic(t, c, "busy", 1, nil)
	wantHealth(t, c, "all is well", func(r healthReport) bool { return r.Healthy })
	filler := filepath.Join(disk, "filler")
	must(t, os.WriteFile(filler, make([]byte, size/100*96), 0o600))
	wantHealth(t, c, "the disk is full", func(r healthReport) bool { return r.has("disk_full", "broker 1") && !r.Healthy })
	must(t, os.Remove(filler))
	wantHealth(t, c, "all is well again", func(r healthReport) bool { return r.Healthy })
}

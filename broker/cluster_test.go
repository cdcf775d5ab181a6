package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/format"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// nodes are a cluster in this process, each with a disk of its own.
type nodes struct {
	t     *testing.T
	disks []disk.FS
	sets  [][]string
	up    []*node // nil while it is down
}

// startNodes runs a cluster of so many nodes, each broker and controller.
func startNodes(t *testing.T, count int, more ...string) *nodes {
	t.Helper()
	c := prepareNodes(t, count, more...)
	for i := range count {
		c.format(i)
		c.start(i)
	}
	t.Cleanup(c.stopAll)
	return c
}

// stopAll stops the nodes at once: one after the other, the last would wait for a
// majority that is gone.
func (c *nodes) stopAll() {
	var stopped sync.WaitGroup
	for _, n := range c.up {
		if n != nil {
			stopped.Go(func() { _ = n.stop() }) // whose errors are the tests' that look for them
		}
	}
	stopped.Wait()
}

// prepareNodes sets so many nodes, whose disks are not formatted.
func prepareNodes(t *testing.T, count int, more ...string) *nodes {
	t.Helper()
	c := &nodes{t: t, up: make([]*node, count)}
	var voters []string
	addrs := freeAddrs(t, 2*count)
	for i := range count {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, addrs[2*i+1]))
	}
	for i := range count {
		c.disks = append(c.disks, disk.NewFaulty(disk.NewMemory()))
		c.sets = append(c.sets, append([]string{
			"process.roles=broker,controller", fmt.Sprintf("node.id=%d", i+1), "controller.quorum.voters=" + strings.Join(voters, ","),
			fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s", addrs[2*i], addrs[2*i+1]), "controller.listener.names=CONTROLLER",
			"offsets.topic.replication.factor=3", "transaction.state.log.replication.factor=3",
		}, more...))
	}
	return c
}

const testCluster = "4L6g3nShT-eMCtK--X86sw"

// format makes a node's disk one of the cluster.
func (c *nodes) format(i int) {
	c.t.Helper()
	for _, path := range []string{"/data", metadataDir} {
		d, err := log.OpenDir(path, log.DirConfig{NodeID: int32(i + 1)}, log.Deps{FS: c.disks[i]})
		if err != nil {
			c.t.Fatal(err)
		}
		if err := d.Format(testCluster); err != nil {
			c.t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// metadataDir is a folder apart from log.dirs, for tests that have the metadata there.
const metadataDir = "/meta"

func (c *nodes) start(i int) {
	c.t.Helper()
	c.up[i] = start(c.t, c.disks[i], "/data", c.sets[i]...)
}

func (c *nodes) stop(i int) {
	c.t.Helper()
	c.up[i].stopClean()
	c.up[i] = nil
}

// any returns a node that is up.
func (c *nodes) any() *node {
	for _, n := range c.up {
		if n != nil {
			return n
		}
	}
	c.t.Fatal("no node is up")
	return nil
}

// decides waits until there is an active controller and returns its place.
func (c *nodes) decides() int {
	c.t.Helper()
	leader := int32(-1)
	c.await("a node decides", func(*metadata.Image) bool {
		leader, _ = c.any().view.Leader()
		return leader > 0
	})
	return int(leader - 1)
}

// freeAddrs finds ports that nobody listens on.
func freeAddrs(t *testing.T, count int) (addrs []string) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// await waits until the metadata that a node knows is as it should be.
func (c *nodes) await(what string, so func(*metadata.Image) bool) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for !so(c.any().view.Image()) {
		if time.Now().After(deadline) {
			c.t.Fatalf("it was never so that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// unfenced reports whether so many brokers take part.
func unfenced(count int) func(*metadata.Image) bool {
	return func(img *metadata.Image) bool {
		live := 0
		for range img.Live() {
			live++
		}
		return live == count
	}
}

// inSync reports whether all partitions of a topic have so many replicas in sync.
func inSync(topic string, count int) func(*metadata.Image) bool {
	return func(img *metadata.Image) bool {
		t, found := img.Topic(topic)
		if !found {
			return false
		}
		return !slices.ContainsFunc(t.Partitions, func(p metadata.Partition) bool { return len(p.ISR) != count })
	}
}

func (c *nodes) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	var seeds []string
	for _, sets := range c.sets {
		seeds = append(seeds, strings.TrimPrefix(strings.Split(sets[3], ",")[0], "listeners=PLAINTEXT://"))
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.RetryTimeout(patience), kgo.AlwaysRetryEOF(), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// TestClusterOutlivesItsNodes: what three nodes acknowledged is there while any one
// of them is down, and they come to hold the same again.
func TestClusterOutlivesItsNodes(t *testing.T) {
	c := startNodes(t, 3)
	c.await("three brokers take part", unfenced(3))
	cl := c.client()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 3, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
	sent := 0
	produce := func() {
		t.Helper()
		for range 30 {
			r := &kgo.Record{Topic: "flights", Partition: int32(sent % 3), Value: fmt.Append(nil, sent)}
			if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	produce()
	for i := range c.up {
		c.stop(i)
		c.await("the others lead", inSync("flights", 2))
		produce()
		c.start(i)
		c.await("all are in sync", inSync("flights", 3))
		produce()
	}
	c.wantSame("flights", sent)
}

// wantSame fails the test where the replicas of a topic differ, or have not so many
// records.
func (c *nodes) wantSame(topic string, records int) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ends, total := c.ends(topic), int64(0)
		for _, end := range ends[0] {
			total += end
		}
		if total == int64(records) && !slices.ContainsFunc(ends, func(of map[int32]int64) bool { return !maps.Equal(of, ends[0]) }) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the replicas of %s end at %v, want %d records in each", topic, ends, records)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ends is where each node's replicas of a topic end.
func (c *nodes) ends(topic string) []map[int32]int64 {
	all := make([]map[int32]int64, len(c.up))
	for i, n := range c.up {
		all[i] = map[int32]int64{}
		for _, p := range n.partitions.Topic(topic) {
			all[i][p.TopicPartition.Partition] = p.Log().End()
		}
	}
	return all
}

// wantObservers wants those nodes to follow the quorum, each with its own folder.
func (c *nodes) wantObservers(ids ...int32) {
	c.t.Helper()
	leader, _ := c.any().view.Leader()
	status, err := c.up[leader-1].Broker.quorum.Status()
	if err != nil {
		c.t.Fatal(err)
	}
	var found []int32
	for _, o := range status.Observers {
		found = append(found, o.ID)
		if o.DirectoryID != c.up[o.ID-1].metadataFolder().dir.ID() {
			c.t.Errorf("the leader takes the folder of node %d for %x", o.ID, o.DirectoryID)
		}
	}
	if !slices.Equal(found, ids) {
		c.t.Errorf("the quorum is followed by %v, want %v", found, ids)
	}
}

// TestBrokersOfOtherControllers: brokers that do not vote follow the metadata, and
// come to know of a controller that takes over.
func TestBrokersOfOtherControllers(t *testing.T) {
	c := &nodes{t: t, up: make([]*node, 5)}
	addrs := freeAddrs(t, 8)
	voters := fmt.Sprintf("controller.quorum.voters=1@%s,2@%s,3@%s", addrs[0], addrs[1], addrs[2])
	for i := range 3 {
		c.sets = append(c.sets, []string{
			"process.roles=controller", fmt.Sprintf("node.id=%d", i+1), voters, "listeners=CONTROLLER://" + addrs[i], "controller.listener.names=CONTROLLER",
		})
	}
	for i := range 2 {
		c.sets = append(c.sets, []string{
			"process.roles=broker", fmt.Sprintf("node.id=%d", i+4), voters, "listeners=PLAINTEXT://" + addrs[3+i], "controller.listener.names=CONTROLLER",
		})
	}
	for i := range c.up {
		c.disks = append(c.disks, disk.NewFaulty(disk.NewMemory()))
		c.format(i)
		c.start(i)
	}
	c.await("two brokers take part", unfenced(2))
	c.wantObservers(4, 5)
	cl := c.client(kgo.SeedBrokers(addrs[3], addrs[4]))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	admin := kadm.NewClient(cl)
	for round := range 3 {
		topic := fmt.Sprint("round-", round)
		if _, err := admin.CreateTopic(ctx, 2, 2, nil, topic); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("a")}, &kgo.Record{Topic: topic, Partition: 1, Value: []byte("b")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if leader, _ := c.any().view.Leader(); round == 0 && leader > 0 {
			c.stop(int(leader - 1))
		}
	}
}

// TestDiskOfOneReplicaFails: where the leader's disk fails another replica leads, and
// what was acknowledged is there.
func TestDiskOfOneReplicaFails(t *testing.T) {
	c := startNodes(t, 3)
	c.await("three brokers take part", unfenced(3))
	cl := c.client()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
	put := func(value string) {
		t.Helper()
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "flights", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put("before")
	c.await("all are in sync", inSync("flights", 3))
	topic, _ := c.any().view.Image().Topic("flights")
	failing := topic.Partitions[0].Leader
	c.disks[failing-1].(*disk.Faulty).FailSyncIn("/data/flights-0")
	put("after")
	c.await("another leads", func(img *metadata.Image) bool {
		topic, _ := img.Topic("flights")
		p := &topic.Partitions[0]
		return p.Leader >= 0 && p.Leader != failing && !slices.Contains(p.ISR, failing)
	})
	put("later")
}

// TestFullDiskOfOneReplica: a leader whose disk is full lets another one lead, and a
// follower is not waited for; with room again it is in sync, and does not lead by
// itself. Where the metadata is on the same disk, the others have to do without the node.
func TestFullDiskOfOneReplica(t *testing.T) {
	for name, set := range map[string]struct{ metadata, full string }{
		"that of the records":          {metadataDir, "/data"},
		"that of the metadata as well": {"/data", "/data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testFullDisk(t, set.metadata, set.full)
		})
	}
}

func testFullDisk(t *testing.T, metadataIn, full string) {
	c := startNodes(t, 3, "min.insync.replicas=2", "metadata.log.dir="+metadataIn)
	c.await("three brokers take part", unfenced(3))
	cl := c.client()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
	put := func(value string) (took time.Duration) {
		t.Helper()
		began := time.Now()
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "flights", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	put("before")
	c.await("all are in sync", inSync("flights", 3))
	partition := func(img *metadata.Image) *metadata.Partition {
		topic, _ := img.Topic("flights")
		return &topic.Partitions[0]
	}
	crowded := partition(c.any().view.Image()).Leader
	other := c.up[crowded%3]
	crowdedDisk := c.disks[crowded-1].(*disk.Faulty)
	crowdedDisk.FullIn(full)
	t.Logf("%s until another led", put("while the leader's disk is full").Round(time.Millisecond))
	p := partition(other.view.Image())
	if next := p.Leader; next == crowded || len(p.ISR) != 2 {
		t.Errorf("%d still leads, in sync are %v", next, p.ISR)
	}
	crowdedDisk.FullIn("")
	c.await("all are in sync again", inSync("flights", 3))
	if now := partition(other.view.Image()); now.Leader != p.Leader {
		t.Errorf("%d leads when there is room again, %d did", now.Leader, p.Leader)
	}
	crowdedDisk.FullIn(full)
	if took := put("while a follower's disk is full"); took > 5*time.Second {
		t.Errorf("a follower whose disk is full was waited for, for %s", took)
	}
	crowdedDisk.FullIn("")
	c.await("all are in sync at last", inSync("flights", 3))
}

// TestLeaderNeedsFewer: a leader whose own file asks for fewer replicas in sync than
// the active controller's acknowledges nothing while the ISR is too small for that one,
// which would let a replica lead that lacks it.
func TestLeaderNeedsFewer(t *testing.T) {
	c := startNodes(t, 3, "min.insync.replicas=2")
	c.await("three brokers take part", unfenced(3))
	decides := c.decides()
	lax, other := (decides+1)%3, (decides+2)%3
	c.stop(lax)
	c.sets[lax] = append(c.sets[lax], "min.insync.replicas=1")
	c.start(lax)
	c.await("three brokers take part again", unfenced(3))

	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 30_000
	topic, assigned := kmsg.NewCreateTopicsRequestTopic(), kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	assigned.Replicas = []int32{int32(lax + 1), int32(other + 1)}
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor, topic.ReplicaAssignment = "flights", -1, -1, append(topic.ReplicaAssignment, assigned)
	create.Topics = append(create.Topics, topic)
	ask[*kmsg.CreateTopicsResponse](c.up[lax], create)
	c.await("both are in sync", inSync("flights", 2))
	c.stop(other)
	c.await("one is left", inSync("flights", 1))

	cl := c.client(kgo.RecordRetries(1), kgo.DisableIdempotentWrite())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "flights", Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Fatalf("a record that broker %d may lead without: %v, want NOT_ENOUGH_REPLICAS", other+1, err)
	}
}

// TestWhereItWasAskedFor: what was decided is known at the node that a client asked
// for it, also where another decides; soon, and so that all nodes agree on who
// coordinates what, even if they would have decided otherwise.
func TestWhereItWasAskedFor(t *testing.T) {
	c := startNodes(t, 3)
	c.await("three brokers take part", unfenced(3))
	c.stop(2)
	c.sets[2] = append(c.sets[2], "offsets.topic.num.partitions=7", "transaction.state.log.num.partitions=7")
	c.start(2)
	c.await("three brokers take part again", unfenced(3))
	for i, n := range c.up {
		began, topic := time.Now(), fmt.Sprint("flights-", i)
		n.create(nil, topic)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("node %d took %v to create a topic", i+1, took)
		}
		eventually(t, "a node knows of the topic that it was asked to create", func() bool {
			_, known := n.view.Image().Topic(topic)
			return known
		})
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKeys = 4, []string{"a-group-x"}
	ask[*kmsg.FindCoordinatorResponse](c.up[0], find)
	find.CoordinatorType = 1
	ask[*kmsg.FindCoordinatorResponse](c.up[0], find)
	for i, n := range c.up {
		eventually(t, "all know of the coordinators", func() bool {
			return inSync(metadata.ConsumerOffsets, 3)(n.view.Image()) && inSync(metadata.TransactionState, 3)(n.view.Image())
		})
		if g, x := n.groups.Partition("a-group-x"), n.txns.Partition("a-group-x"); g != c.up[0].groups.Partition("a-group-x") || x != c.up[0].txns.Partition("a-group-x") {
			t.Errorf("node %d looks for a group in partition %d and for a transaction in %d, node 1 does elsewhere", i+1, g, x)
		}
	}
}

// TestVotersComeAndGo: a controller that joins a cluster takes part as a broker before
// it votes; it votes once it is let, and one whose vote was taken away is a broker
// still.
func TestVotersComeAndGo(t *testing.T) {
	c := &nodes{t: t, up: make([]*node, 3)}
	addrs := freeAddrs(t, 6)
	for i := range 3 {
		c.sets = append(c.sets, []string{
			"process.roles=broker,controller", fmt.Sprintf("node.id=%d", i+1), "controller.quorum.bootstrap.servers=" + addrs[1],
			fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s", addrs[2*i], addrs[2*i+1]), "controller.listener.names=CONTROLLER",
		})
		c.disks = append(c.disks, disk.NewMemory())
		request := format.Request{ClusterID: testCluster, Standalone: i == 0, NoInitialControllers: i > 0}
		if _, err := format.Run(c.disks[i], settings(t, "/data", c.sets[i]...), request); err != nil {
			t.Fatal(err)
		}
		c.start(i)
	}
	c.await("three brokers take part", unfenced(3))
	cl := c.client()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
	add := func(i int) {
		t.Helper()
		listener := kmsg.NewAddRaftVoterRequestListener()
		host, port, _ := net.SplitHostPort(addrs[2*i+1])
		number, _ := strconv.Atoi(port)
		listener.Name, listener.Host, listener.Port = "CONTROLLER", host, uint16(number)
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.TimeoutMillis, req.VoterID, req.VoterDirectoryID = 30_000, int32(i+1), c.up[i].metadataFolder().dir.ID()
		req.Listeners = append(req.Listeners, listener)
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil {
			t.Fatalf("let node %d vote: %v", i+1, err)
		}
	}
	add(1)
	add(2)
	c.await("three nodes vote", voters(1, 2, 3))
	nowhere := kmsg.NewPtrAddRaftVoterRequest()
	nowhere.TimeoutMillis, nowhere.VoterID, nowhere.VoterDirectoryID = 300, 9, [16]byte{9}
	nowhere.Listeners = append(nowhere.Listeners, kmsg.AddRaftVoterRequestListener{Name: "CONTROLLER", Host: "127.0.0.1", Port: 1})
	for i, n := range c.up {
		resp := ask[*kmsg.AddRaftVoterResponse](n, nowhere)
		if resp.ErrorCode != kerr.RequestTimedOut.Code || !strings.Contains(*resp.ErrorMessage, "node 9, at 127.0.0.1:1, did not get all that was decided in time") {
			t.Errorf("node %d says of a voter that is nowhere: %d %s", i+1, resp.ErrorCode, *resp.ErrorMessage)
		}
	}
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = 1, c.up[0].metadataFolder().dir.ID()
	if resp, err := req.RequestWith(ctx, cl); err != nil || resp.ErrorCode != 0 {
		t.Fatalf("take node 1's vote away: %v, %+v", err, resp)
	}
	c.await("two nodes vote", voters(2, 3)) // node 1 says so
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 3, nil, "later"); err != nil {
		t.Fatal(err)
	}
	c.await("the topic is replicated, by node 1 too", inSync("later", 3))
}

// TestQuorumWithoutMajority: who asks a node that is left alone about the quorum hears
// soon that it has no leader, and what to look at.
func TestQuorumWithoutMajority(t *testing.T) {
	c := startNodes(t, 3)
	c.await("three brokers take part", unfenced(3))
	c.stop(1)
	c.stop(2)
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, kmsg.DescribeQuorumRequestTopicPartition{})
	req.Version, req.Topics = 2, append(req.Topics, topic)
	eventually(t, "the node hears of no leader", func() bool {
		leader, _ := c.up[0].view.Leader()
		return leader < 0
	})
	began := time.Now()
	resp := ask[*kmsg.DescribeQuorumResponse](c.up[0], req)
	if took := time.Since(began); resp.ErrorCode != kerr.RequestTimedOut.Code || !strings.Contains(*resp.ErrorMessage, "see that a majority of the voters runs") || took > patience/2 {
		t.Errorf("after %v: %d %s", took, resp.ErrorCode, *resp.ErrorMessage)
	}
}

// voters reports whether those nodes vote, and no other.
func voters(want ...int32) func(*metadata.Image) bool {
	return func(img *metadata.Image) bool {
		var ids []int32
		for v := range img.Voters() {
			ids = append(ids, v.ID)
		}
		return slices.Equal(ids, want)
	}
}

package broker

import (
	"context"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/format"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// relocate asks for a move of a replica, and returns the code of the answer.
func relocate(n *node, topic string, partition int32, dir string) int16 {
	n.t.Helper()
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	req.Version = 2
	t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	req.Dirs = append(req.Dirs, kmsg.AlterReplicaLogDirsRequestDir{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{t}})
	return ask[*kmsg.AlterReplicaLogDirsResponse](n, req).Topics[0].Partitions[0].ErrorCode
}

// liesIn returns the folder in which a node has a partition, empty for none; with a
// star where it is on its way to another.
func (n *node) liesIn(topic string, partition int32) (dir string) {
	n.t.Helper()
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 4
	future := ""
	for _, d := range ask[*kmsg.DescribeLogDirsResponse](n, req).Dirs {
		for _, t := range d.Topics {
			for _, p := range t.Partitions {
				switch {
				case t.Topic != topic || p.Partition != partition:
				case p.IsFuture:
					future = "*"
				default:
					dir = d.Dir
				}
			}
		}
	}
	return dir + future
}

// other is the folder of log.dirs, of which there are two, in which something does not
// lie.
func (n *node) other(dir string) string {
	dirs := n.config.LogDirs
	return map[string]string{dirs[0]: dirs[1], dirs[1]: dirs[0]}[dir]
}

func (n *node) relocated(topic string, partition int32) {
	n.t.Helper()
	to := n.other(n.liesIn(topic, partition))
	if code := relocate(n, topic, partition, to); code != 0 {
		n.t.Fatalf("move %s-%d to %s: %v", topic, partition, to, kerr.ErrorForCode(code))
	}
	eventually(n.t, "the log lies in the other folder", func() bool { return n.liesIn(topic, partition) == to })
}

// TestRelocation: a log moves to another folder with all that is in it, there and back,
// and is there after a restart.
func TestRelocation(t *testing.T) {
	fs := disk.NewFaulty(disk.NewMemory())
	n := start(t, fs, "/one", "log.dirs=/one,/two")
	n.create(nil, "a", "b")
	var want []string
	put := func() {
		for range 50 {
			want = append(want, fmt.Sprint(len(want)))
			n.mustPut("a", want[len(want)-1])
		}
	}
	put()
	for range 2 {
		n.relocated("a", 0)
		n.holds("a", 0, want...)
		put()
		n.holds("a", 0, want...)
	}
	n.relocated("a", 0)
	at := n.liesIn("a", 0)
	n.stopClean()
	n = start(t, fs, "/one", "log.dirs=/one,/two")
	n.holds("a", 0, want...)
	if now := n.liesIn("a", 0); now != at {
		t.Errorf("it lies in %s, and did in %s", now, at)
	}
	eventually(t, "nothing is left of copies", func() bool {
		one, _ := fs.ReadDir("/one")
		two, _ := fs.ReadDir("/two")
		return !slices.ContainsFunc(slices.Concat(one, two), func(e iofs.DirEntry) bool { return strings.HasSuffix(e.Name(), "-future") })
	})
	for _, c := range []struct {
		topic, dir string
		want       *kerr.Error
	}{
		{"a", "/three", kerr.LogDirNotFound}, {"none", "/two", kerr.UnknownTopicOrPartition}, {"a", at, nil},
	} {
		if got := kerr.ErrorForCode(relocate(n, c.topic, 0, c.dir)); got != error(c.want) && (c.want != nil || got != nil) {
			t.Errorf("move %s to %s: %v, want %v", c.topic, c.dir, got, c.want)
		}
	}
}

// TestRelocationOfCoordinators: what groups committed is there, and can be committed, when
// their partitions have moved; so with transactions.
func TestRelocationOfCoordinators(t *testing.T) {
	n := start(t, disk.NewMemory(), "/one", "log.dirs=/one,/two", "offsets.topic.num.partitions=1", "transaction.state.log.num.partitions=1")
	n.create(nil, "a")
	n.findCoordinator("g")
	cl := n.client(kgo.TransactionalID("x"))
	adm := kadm.NewClient(n.client())
	for i := range int64(4) {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(deadline(t), &kgo.Record{Topic: "a", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		n.relocated("__transaction_state", 0)
		if err := cl.EndTransaction(deadline(t), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		commit := kadm.Offsets{}
		commit.AddOffset("a", 0, i, -1)
		if err := adm.CommitAllOffsets(deadline(t), "g", commit); err != nil {
			t.Fatal(err)
		}
		n.relocated("__consumer_offsets", 0)
		if got, err := adm.FetchOffsets(deadline(t), "g"); err != nil || got["a"][0].At != i {
			t.Fatalf("committed %d, found %v, %v", i, got, err)
		}
	}
}

// TestRelocationFails: where the other folder's disk is full the log stays where it is,
// and is served.
func TestRelocationFails(t *testing.T) {
	fs := disk.NewFaulty(disk.NewMemory())
	n := start(t, fs, "/one", "log.dirs=/one,/two")
	n.create(nil, "a")
	n.mustPut("a", "1")
	at := n.liesIn("a", 0)
	fs.FailSyncIn(n.other(at))
	if code := relocate(n, "a", 0, n.other(at)); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	eventually(t, "the move is given up", func() bool { return strings.Contains(n.log.String(), "could not be moved") })
	if now := n.liesIn("a", 0); now != at {
		t.Errorf("it lies in %s, and did in %s", now, at)
	}
	n.mustPut("a", "2")
	n.holds("a", 0, "1", "2")
}

// TestRelocationLeftTwice: a broker that was stopped when a log was whole in both
// folders takes one of them, and puts the other aside.
func TestRelocationLeftTwice(t *testing.T) {
	fs := disk.NewMemory()
	n := start(t, fs, "/one", "log.dirs=/one,/two")
	n.create(nil, "a")
	n.mustPut("a", "1")
	tp := protocol.TopicPartition{Topic: "a"}
	p, err := n.partitions.Get("a", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range n.folders {
		if f.dir == p.Log().Dir() {
			continue
		}
		annex, err := f.dir.OpenAnnex(tp)
		if err != nil {
			t.Fatal(err)
		}
		l, err := annex.Open(tp, p.TopicID, p.Log().Config())
		if err != nil {
			t.Fatal(err)
		}
		if err := copySome(p.Log(), l); err != nil {
			t.Fatal(err)
		}
		if err := annex.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.dir.Adopt(annex, tp); err != nil {
			t.Fatal(err)
		}
	}
	n.stopClean()
	n = start(t, fs, "/one", "log.dirs=/one,/two")
	n.holds("a", 0, "1")
	n.mustPut("a", "2")
	if !strings.Contains(n.log.String(), "putting one aside") {
		t.Errorf("nothing is said of it:\n%s", n.log.String())
	}
	n.relocated("a", 0)
	n.holds("a", 0, "1", "2")
}

// TestRelocationInACluster: replicas move, leaders and followers, while records are
// written; nothing that was acknowledged is lost, and all replicas hold the same.
func TestRelocationInACluster(t *testing.T) {
	c := startNodes(t, 3, "min.insync.replicas=2")
	c.await("three brokers take part", unfenced(3))
	for i := range c.up { // to each a second folder
		c.stop(i)
		c.sets[i] = append(c.sets[i], "log.dirs=/data,/two")
		request := format.Request{ClusterID: testCluster, IgnoreFormatted: true}
		if _, err := format.Run(c.disks[i], settings(t, "/data", c.sets[i]...), request); err != nil {
			t.Fatal(err)
		}
		c.start(i)
		c.await("three brokers take part again", unfenced(3))
	}
	cl := c.client()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 3, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
	c.await("all are in sync", inSync("flights", 3))
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				sent <- n
				return
			default:
			}
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "flights", Partition: int32(n % 3), Value: fmt.Append(nil, n)}).FirstErr(); err != nil {
				t.Error(err)
				sent <- n
				return
			}
		}
	}()
	for range 2 {
		for _, n := range c.up {
			for p := range int32(3) {
				n.relocated("flights", p)
			}
		}
	}
	close(stop)
	total := <-sent
	c.wantSame("flights", total)
}

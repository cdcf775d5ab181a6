package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/storage/disk"
)

// member is a consumer of a group that polls until it is closed.
type member struct {
	*kgo.Client
	mu    sync.Mutex
	mine  map[int32]bool // guarded by mu: assigned partitions of topic t
	seen  map[string]int // guarded by mu: values, how often
	ended chan struct{}
}

func (n *node) join(group string, opts ...kgo.Opt) *member {
	n.t.Helper()
	m := &member{mine: map[int32]bool{}, seen: map[string]int{}, ended: make(chan struct{})}
	note := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(ctx context.Context, cl *kgo.Client, changed map[string][]int32) {
			if !has {
				cl.CommitUncommittedOffsets(ctx) // an error shows as records that are read again
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, p := range changed["t"] {
				if delete(m.mine, p); has {
					m.mine[p] = true
				}
			}
		}
	}
	m.Client = n.client(append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics("t"), kgo.HeartbeatInterval(50 * time.Millisecond), kgo.AutoCommitInterval(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(note(true)), kgo.OnPartitionsRevoked(note(false)), kgo.OnPartitionsLost(note(false)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond),
	}, opts...)...)
	go func() {
		defer close(m.ended)
		for {
			fetches := m.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			m.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) { m.seen[string(r.Value)]++ })
			m.mu.Unlock()
		}
	}()
	return m
}

func (m *member) partitions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mine)
}

// has counts the different values that begin so.
func (m *member) has(prefix string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for v := range m.seen {
		if strings.HasPrefix(v, prefix) {
			n++
		}
	}
	return n
}

func (m *member) leave() {
	m.Close()
	<-m.ended
}

// TestGroupRebalance: partitions move between members that come and go, and the
// group's place in each survives both them and a restart.
func TestGroupRebalance(t *testing.T) {
	t.Parallel()
	for name, balancer := range map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := disk.NewMemory()
			n := start(t, fs, "/d")
			n.createWith(4, nil, "t")
			for p := range int32(4) {
				n.putTo("t", p, values(t, fmt.Sprint("first ", p)))
			}
			a := n.join("g", kgo.Balancers(balancer))
			eventually(t, "the first member has all", func() bool { return a.partitions() == 4 && a.has("first") == 4 })
			b := n.join("g", kgo.Balancers(balancer))
			eventually(t, "both have half", func() bool { return a.partitions() == 2 && b.partitions() == 2 })
			for p := range int32(4) {
				n.putTo("t", p, values(t, fmt.Sprint("second ", p)))
			}
			eventually(t, "both read on", func() bool { return a.has("second")+b.has("second") == 4 })
			b.leave()
			eventually(t, "the first has all again", func() bool { return a.partitions() == 4 })
			a.leave()
			n.stopClean()

			n = start(t, fs, "/d")
			described, err := kadm.NewClient(n.client()).DescribeGroups(deadline(t), "g")
			if err != nil || described["g"].State != "Empty" {
				t.Errorf("after a restart the group is %+v (%v)", described["g"], err)
			}
			for p := range int32(4) {
				n.putTo("t", p, values(t, fmt.Sprint("third ", p)))
			}
			c := n.join("g", kgo.Balancers(balancer))
			eventually(t, "a new member reads on", func() bool { return c.has("third") == 4 })
			c.leave()
			for v := range c.seen {
				if !strings.HasPrefix(v, "third") {
					t.Errorf("after the restart %q is read again", v)
				}
			}
		})
	}
}

// TestStaticMember: a static member that comes back within its session gets its
// partitions without a rebalance.
func TestStaticMember(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.createWith(4, nil, "t")
	opts := []kgo.Opt{kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(10 * time.Second)}
	a := n.join("g", append(opts, kgo.InstanceID("a"))...)
	b := n.join("g", append(opts, kgo.InstanceID("b"))...)
	eventually(t, "both have half", func() bool { return a.partitions() == 2 && b.partitions() == 2 })
	before := n.group("g")
	a.leave() // a static member leaves no word
	a = n.join("g", append(opts, kgo.InstanceID("a"))...)
	eventually(t, "it has its partitions again", func() bool { return a.partitions() == 2 })
	after := n.group("g")
	if b.partitions() != 2 || after.State != "Stable" || len(after.Members) != 2 {
		t.Errorf("afterwards the other has %d partitions, and the group is %+v", b.partitions(), after)
	}
	for _, m := range after.Members {
		for _, was := range before.Members {
			if *m.InstanceID == *was.InstanceID && *m.InstanceID == "b" && m.MemberID != was.MemberID {
				t.Error("the other member joined anew")
			}
		}
	}
	a.leave()
	b.leave()
}

func (n *node) group(name string) kadm.DescribedGroup {
	n.t.Helper()
	described, err := kadm.NewClient(n.client()).DescribeGroups(deadline(n.t), name)
	if err != nil || described[name].Err != nil {
		n.t.Fatal(err, described[name].Err)
	}
	return described[name]
}

// TestSessionExpiry: a member that falls silent is removed, and the group answers
// it as one that is not known.
func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "group.min.session.timeout.ms=100")
	n.findCoordinator("g")
	c := n.dial()
	join := func(member string) *kmsg.JoinGroupResponse {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.MemberID, req.ProtocolType = 5, "g", member, "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 200, 200
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0}}}
		return askOn[*kmsg.JoinGroupResponse](t, c, req)
	}
	first := join("")
	if first.ErrorCode != kerr.MemberIDRequired.Code || first.MemberID == "" {
		t.Fatalf("a member without an id is answered %+v", first)
	}
	joined := join(first.MemberID)
	if joined.ErrorCode != 0 || joined.LeaderID != first.MemberID {
		t.Fatalf("join: %+v", joined)
	}
	beat := func() int16 {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.Generation = 3, "g", first.MemberID, joined.Generation
		return askOn[*kmsg.HeartbeatResponse](t, c, req).ErrorCode
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.MemberID, sync.Generation = 3, "g", first.MemberID, joined.Generation
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: first.MemberID, MemberAssignment: []byte{1}}}
	if s := askOn[*kmsg.SyncGroupResponse](t, c, sync); s.ErrorCode != 0 || len(s.MemberAssignment) != 1 {
		t.Fatalf("sync: %+v", s)
	}
	if code := beat(); code != 0 {
		t.Errorf("a heartbeat in time: error %d", code)
	}
	eventually(t, "the silent member is removed", func() bool { return n.group("g").State == "Empty" })
	if code := beat(); code != kerr.UnknownMemberID.Code {
		t.Errorf("a heartbeat too late: error %d", code)
	}
}

// findCoordinator makes sure that groups are served.
func (n *node) findCoordinator(group string) {
	n.t.Helper()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKey = 2, group
	if resp := ask[*kmsg.FindCoordinatorResponse](n, req); resp.ErrorCode != 0 {
		n.t.Fatalf("find the coordinator of %s: %v", group, kerr.ErrorForCode(resp.ErrorCode))
	}
}

// TestOffsets: offsets are committed, fetched, deleted, and go with their topic
// and their group; all of it holds after a restart.
func TestOffsets(t *testing.T) {
	t.Parallel()
	fs := disk.NewMemory()
	n := start(t, fs, "/d")
	n.createWith(2, nil, "t", "gone")
	ctx := deadline(t)
	adm := kadm.NewClient(n.client())
	offsets := kadm.Offsets{}
	for _, topic := range []string{"t", "gone"} {
		offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 5, LeaderEpoch: -1, Metadata: "note"})
		offsets.Add(kadm.Offset{Topic: topic, Partition: 1, At: 6, LeaderEpoch: -1})
	}
	for _, g := range []string{"g", "deleted"} {
		if _, err := adm.CommitOffsets(ctx, g, offsets); err != nil {
			t.Fatal(err)
		}
	}
	missing := kadm.Offsets{}
	missing.AddOffset("missing", 0, 1, -1)
	if answers, err := adm.CommitOffsets(ctx, "g", missing); err != nil || !errors.Is(answers.Error(), kerr.UnknownTopicOrPartition) {
		t.Errorf("a commit for a topic that is not there: %v, %v", err, answers.Error())
	}
	if _, err := adm.DeleteTopics(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if answers, err := adm.DeleteGroups(ctx, "deleted", "unknown"); err != nil || answers["deleted"].Err != nil || !errors.Is(answers["unknown"].Err, kerr.GroupIDNotFound) {
		t.Errorf("delete groups: %v, %+v", err, answers)
	}
	one := kadm.TopicsSet{}
	one.Add("t", 1)
	if answers, err := adm.DeleteOffsets(ctx, "g", one); err != nil || answers.Error() != nil {
		t.Errorf("delete an offset: %v, %+v", err, answers)
	}
	check := func(when string) {
		t.Helper()
		left, err := adm.FetchOffsets(ctx, "g")
		if o, found := left.Lookup("t", 0); err != nil || len(left.Offsets()) != 1 || len(left["t"]) != 1 || !found || o.At != 5 || o.Metadata != "note" {
			t.Errorf("%s: %+v (%v)", when, left, err)
		}
		if left, err := adm.FetchOffsets(ctx, "deleted"); err != nil || len(left) != 0 {
			t.Errorf("%s the deleted group has %+v (%v)", when, left, err)
		}
	}
	check("at first")
	n.stopClean()
	n = start(t, fs, "/d")
	adm = kadm.NewClient(n.client())
	check("after a restart")
}

// TestOffsetExpiry: a group that nobody is in any more loses its offsets in time.
func TestOffsetExpiry(t *testing.T) {
	t.Parallel()
	// The shortest time that can be set is a minute, so the commit is dated back.
	n := start(t, disk.OS, t.TempDir(), "offsets.retention.minutes=1", "offsets.retention.check.interval.ms=20")
	n.create(nil, "t")
	n.findCoordinator("g")
	c := n.dial()
	commit := func(group string, retention int64) {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.Generation, req.RetentionTimeMillis = 2, group, -1, retention
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: 3}}}}
		if resp := askOn[*kmsg.OffsetCommitResponse](t, c, req); resp.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("commit: %+v", resp)
		}
	}
	commit("short", 50) // a retention of its own, as clients up to version 4 may ask for
	commit("long", -1)
	adm := kadm.NewClient(n.client())
	eventually(t, "the offset expires", func() bool {
		left, err := adm.FetchOffsets(deadline(t), "short")
		return err == nil && len(left) == 0
	})
	if left, err := adm.FetchOffsets(deadline(t), "long"); err != nil || len(left) != 1 {
		t.Errorf("the other group has %+v (%v)", left, err)
	}
}

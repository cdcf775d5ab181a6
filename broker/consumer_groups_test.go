package broker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/test/wire"
)

// consumer is a member of a group of the new protocol, driven by hand.
type consumer struct {
	t     *testing.T
	conn  *wire.Conn
	id    string
	epoch int32
	has   map[[16]byte][]int32
}

// beat sends a heartbeat and takes over what it is told.
func (c *consumer) beat(change func(*kmsg.ConsumerGroupHeartbeatRequest)) error {
	c.t.Helper()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, "g", c.id, c.epoch
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for id, partitions := range c.has {
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: id, Partitions: partitions})
	}
	if change != nil {
		change(req)
	}
	resp := askOn[*kmsg.ConsumerGroupHeartbeatResponse](c.t, c.conn, req)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	c.epoch = resp.MemberEpoch
	if resp.Assignment != nil {
		c.has = map[[16]byte][]int32{}
		for _, t := range resp.Assignment.Topics {
			c.has[t.TopicID] = t.Partitions
		}
	}
	return nil
}

// count is how many partitions the consumer has.
func (c *consumer) count() (n int) {
	for _, partitions := range c.has {
		n += len(partitions)
	}
	return n
}

func joins(regex string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) {
		req.SubscribedTopicRegex, req.RebalanceTimeoutMillis = &regex, 10_000
	}
}

// TestConsumerGroup: members of the new protocol share what matches their pattern,
// follow the topics as they come, grow and go, and go on after a restart where
// they were.
func TestConsumerGroup(t *testing.T) {
	t.Parallel()
	fs := disk.NewMemory()
	n := start(t, fs, "/d", "group.consumer.assignment.interval.ms=0")
	n.createWith(2, nil, "flights-a", "other")
	n.findCoordinator("g")
	a, b := &consumer{t: t, conn: n.dial(), id: "a"}, &consumer{t: t, conn: n.dial(), id: "b"}
	both := func(what string, want ...int) {
		t.Helper()
		eventually(t, what, func() bool {
			for _, c := range []*consumer{a, b} {
				if err := c.beat(nil); err != nil {
					t.Fatalf("%s: %s: %v", what, c.id, err)
				}
			}
			return slices.Equal([]int{a.count(), b.count()}, want)
		})
	}
	if err := a.beat(joins("flights-.*")); err != nil || a.count() != 2 {
		t.Fatalf("the first has %v (%v)", a.has, err)
	}
	if err := b.beat(joins("flights-.*")); err != nil {
		t.Fatal(err)
	}
	both("each has one", 1, 1)
	adm := kadm.NewClient(n.client())
	if _, err := adm.CreatePartitions(deadline(t), 2, "flights-a"); err != nil {
		t.Fatal(err)
	}
	both("they share the partitions that were added", 2, 2)
	n.createWith(2, nil, "flights-b")
	both("they share the topic that came", 3, 3)
	epoch := a.epoch
	n.stopClean()

	n = start(t, fs, "/d", "group.consumer.assignment.interval.ms=0")
	adm = kadm.NewClient(n.client())
	a.conn, b.conn = n.dial(), n.dial()
	both("they go on after a restart", 3, 3)
	if a.epoch != epoch {
		t.Errorf("the restart took the group from epoch %d to %d", epoch, a.epoch)
	}
	if _, err := adm.DeleteTopics(deadline(t), "flights-b"); err != nil {
		t.Fatal(err)
	}
	both("the topic is gone", 2, 2)
	for _, c := range []*consumer{a, b} {
		if err := c.beat(func(req *kmsg.ConsumerGroupHeartbeatRequest) { req.MemberEpoch = -1 }); err != nil {
			t.Error(err)
		}
	}
	if gone, err := adm.DeleteGroups(deadline(t), "g"); err != nil || gone["g"].Err != nil {
		t.Errorf("delete the group: %+v (%v)", gone, err)
	}
	if err := a.beat(nil); err == nil || fmt.Sprint(err) != kerr.GroupIDNotFound.Error() {
		t.Errorf("a member of a group that is gone is answered %v", err)
	}
}

// TestGroupConfigs: what is set for a group counts at once, and after a restart.
func TestGroupConfigs(t *testing.T) {
	t.Parallel()
	fs := disk.NewMemory()
	n := start(t, fs, "/d")
	n.createWith(1, nil, "t")
	interval := func() int32 {
		n.findCoordinator("g")
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.SubscribedTopicNames, req.RebalanceTimeoutMillis = 1, "g", "m", []string{"t"}, 10_000
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		return ask[*kmsg.ConsumerGroupHeartbeatResponse](n, req).HeartbeatIntervalMillis
	}
	if got := interval(); got != 5000 {
		t.Errorf("by default the interval is %d", got)
	}
	set := kmsg.NewPtrIncrementalAlterConfigsRequest()
	set.Version = 1
	value := "7000"
	set.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: "g",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "consumer.heartbeat.interval.ms", Value: &value}}}}
	if resp := ask[*kmsg.IncrementalAlterConfigsResponse](n, set); resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	if got := interval(); got != 7000 {
		t.Errorf("set for the group, the interval is %d", got)
	}
	n.stopClean()
	n = start(t, fs, "/d")
	if got := interval(); got != 7000 {
		t.Errorf("after a restart the interval is %d", got)
	}
}

package group

import (
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/coordinator/assign"
	"github.com/klamm-io/klamm/protocol"
)

// TestConsumers lets consumers of both protocols join, leave, lose answers, change
// their minds, fall silent, while topics come and go and the log fails: no
// partition is ever read by two, and in the end none by nobody.
func TestConsumers(t *testing.T) { rapid.Check(t, func(t *rapid.T) { newFlock(t).run() }) }

// flock are the clients of one consumer group.
type flock struct {
	*rapid.T
	coordinator *Coordinator
	cluster     *fakeCluster
	now         time.Time
	log         recordLog
	clients     []*consumer
	began       int
	epoch       int32
	answer      any           // to the last request
	others      func([]Reply) // takes answers to clients of other kinds
}

// consumer is a client as it should be: it reads what it was given until it is
// told to let go, and it lets go before it says so.
type consumer struct {
	id     string
	epoch  int32 // 0: it has to join; generation of a classic one
	topics []string
	regex  string
	reads  held // the epochs do not count
	// silent clients were forgotten by the world, and have to learn of it.
	instance *string
}

func newFlock(t *rapid.T) *flock {
	ids := 0
	second := time.Second
	config := Config{
		MinSessionTimeout: second, MaxSessionTimeout: time.Minute, MaxSize: 10, OffsetMetadataMax: 10, OffsetsRetention: time.Hour,
		Consumer: Consumer{
			SessionTimeout: Bounded{30 * second, second, time.Minute}, HeartbeatInterval: Bounded{second, second, second},
			AssignmentInterval: Bounded{time.Duration(rapid.IntRange(0, 2).Draw(t, "interval")) * second, 0, time.Minute},
			MaxSize:            10, Assignors: []string{"uniform", "range"}, Upgrade: true, Downgrade: true, RegexRefresh: time.Minute,
		},
	}
	f := &flock{T: t, now: time.UnixMilli(1e12), cluster: &fakeCluster{}}
	f.coordinator = New(config, func() string { ids++; return strconv.Itoa(ids) }, slog.New(slog.DiscardHandler))
	f.setTopics(map[string]int{"ta": 3, "tb": 2})
	return f
}

func (f *flock) setTopics(to map[string]int) {
	next := &fakeCluster{partitions: to, version: f.cluster.version + 1}
	var changed []string
	for _, name := range []string{"ta", "tb", "tc"} {
		if to[name] != f.cluster.partitions[name] {
			changed = append(changed, name)
		}
	}
	f.cluster = next
	f.coordinator.ClusterChanged(next, changed, true)
}

func (f *flock) run() {
	f.Repeat(map[string]func(*rapid.T){
		"":       func(*rapid.T) { f.check() },
		"begin":  func(*rapid.T) { f.begin() },
		"beat":   func(*rapid.T) { f.beat(f.someone(), f.chance(5)) },
		"beats":  func(*rapid.T) { f.beatAll() },
		"leave":  func(*rapid.T) { f.leave(f.someone()) },
		"crash":  func(*rapid.T) { f.crash() },
		"change": func(*rapid.T) { f.change(f.someone()) },
		"topics": func(*rapid.T) { f.topics() },
		"time":   func(*rapid.T) { f.pass(time.Duration(rapid.IntRange(1, 5000).Draw(f.T, "ms")) * time.Millisecond) },
		"reload": func(*rapid.T) { f.reload() },
	})
	f.settle()
}

func (f *flock) chance(in int) bool { return rapid.IntRange(1, in).Draw(f.T, "chance") == 1 }

func (f *flock) someone() *consumer {
	if len(f.clients) == 0 {
		return nil
	}
	return f.clients[rapid.IntRange(0, len(f.clients)-1).Draw(f.T, "who")]
}

func (f *flock) subscription() (topics []string, regex string) {
	topics = rapid.SampledFrom([][]string{{"ta"}, {"ta", "tb"}, {"tb", "tc"}, {}}).Draw(f.T, "subscribes")
	return topics, rapid.SampledFrom([]string{"", "", "t.", "t[bc]"}).Draw(f.T, "regex")
}

func (f *flock) begin() {
	if len(f.clients) >= 5 {
		return
	}
	f.began++
	c := &consumer{id: fmt.Sprint("m", f.began), reads: held{}}
	c.topics, c.regex = f.subscription()
	if f.chance(3) {
		c.instance = kmsg.StringPtr(fmt.Sprint("i", rapid.IntRange(1, 2).Draw(f.T, "instance")))
		for _, other := range f.clients {
			if other.instance != nil && *other.instance == *c.instance {
				return // a second one is a mistake of its own
			}
		}
	}
	f.clients = append(f.clients, c)
}

// beat is one heartbeat. Its answer may be lost.
func (f *flock) beat(c *consumer, lost bool) {
	if c == nil {
		return
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, "g", c.id, c.epoch, c.instance
	req.SubscribedTopicNames, req.SubscribedTopicRegex, req.RebalanceTimeoutMillis = c.topics, &c.regex, 10_000
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, id := range sortedTopics(c.reads) {
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: id, Partitions: c.reads.only()[id]})
	}
	f.answer = nil
	f.take(f.coordinator.ConsumerGroupHeartbeat(req, Client{ID: "c"}, func(string) bool { return true }, c, f.now))
	resp, ok := f.answer.(*kmsg.ConsumerGroupHeartbeatResponse)
	switch {
	case !ok:
		f.Fatalf("%s is not answered", c.id)
	case lost:
	case resp.ErrorCode == kerr.FencedMemberEpoch.Code, resp.ErrorCode == kerr.UnknownMemberID.Code, resp.ErrorCode == kerr.GroupIDNotFound.Code:
		c.epoch, c.reads = 0, held{}
	case resp.ErrorCode == 0:
		f.follow(c, resp)
	}
}

// follow does what the answer says: what is not given any more is let go of.
func (f *flock) follow(c *consumer, resp *kmsg.ConsumerGroupHeartbeatResponse) {
	c.epoch = resp.MemberEpoch
	if resp.Assignment == nil {
		return
	}
	p := assign.Partitions{}
	for _, t := range resp.Assignment.Topics {
		p[t.TopicID] = t.Partitions
	}
	c.reads = gotAt(p, 0)
}

func (f *flock) beatAll() {
	for _, c := range f.clients {
		f.beat(c, false)
	}
}

func (f *flock) leave(c *consumer) {
	if c == nil || c.epoch == 0 {
		return
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, "g", c.id, leaveEpoch, c.instance
	if c.instance != nil && f.chance(2) {
		req.MemberEpoch = leaveStaticEpoch
	}
	f.take(f.coordinator.ConsumerGroupHeartbeat(req, Client{ID: "c"}, nil, c, f.now))
	f.forget(c)
}

// crash ends a client without a word. It reads nothing any more.
func (f *flock) crash() {
	if c := f.someone(); c != nil {
		f.forget(c)
	}
}

func (f *flock) forget(c *consumer) {
	for i, other := range f.clients {
		if other == c {
			f.clients = append(f.clients[:i:i], f.clients[i+1:]...)
		}
	}
}

func (f *flock) change(c *consumer) {
	if c != nil {
		c.topics, c.regex = f.subscription()
	}
}

func (f *flock) topics() {
	f.setTopics(rapid.SampledFrom([]map[string]int{{"ta": 3, "tb": 2}, {"ta": 5, "tb": 2}, {"tb": 2, "tc": 1}, {"ta": 3}}).Draw(f.T, "topics"))
}

// pass lets time pass for everybody, so that those that are alive say so.
func (f *flock) pass(d time.Duration) {
	f.now = f.now.Add(d)
	f.take(f.coordinator.Tick(f.now))
	for _, c := range f.clients {
		// A client whose session is over stops reading by itself before the broker
		// takes that it has; here it just learns of it.
		if g := f.coordinator.consumerGroup("g"); g == nil || g.consumer.members[c.id] == nil {
			c.epoch, c.reads = 0, held{}
		}
	}
}

func (f *flock) reload() {
	again := f.log.replayed(f.T, New(f.coordinator.config, f.coordinator.newID, f.coordinator.logger), f.now)
	again.ClusterChanged(f.cluster, nil, false)
	f.coordinator = again
}

func (f *flock) take(out Output) {
	f.hear(out.Replies)
	for _, write := range out.Writes {
		err := error(nil)
		if f.chance(8) {
			err = kerr.CoordinatorNotAvailable
		} else {
			f.log = append(f.log, write.Records...)
		}
		f.hear(write.Done(err))
	}
}

func (f *flock) hear(replies []Reply) {
	var others []Reply
	for _, r := range replies {
		if _, mine := r.To.(*consumer); mine {
			f.answer = r.Response
		} else {
			others = append(others, r)
		}
	}
	if len(others) > 0 {
		f.others(others)
	}
}

// check holds what must always be true.
func (f *flock) check() {
	readers := map[protocol.TopicID]map[int32]string{}
	for _, c := range f.clients {
		for topic, partitions := range c.reads {
			for p := range partitions {
				if readers[topic] == nil {
					readers[topic] = map[int32]string{}
				}
				if other := readers[topic][p]; other != "" {
					f.Fatalf("%s-%d is read by %s and by %s", fakeName(topic), p, other, c.id)
				}
				readers[topic][p] = c.id
			}
		}
	}
	g := f.coordinator.consumerGroup("g")
	if g == nil {
		f.epoch = 0
		return
	}
	if g.consumer.epoch < f.epoch || g.consumer.assignmentEpoch > g.consumer.epoch {
		f.Fatalf("epoch %d follows %d, the assignment's is %d", g.consumer.epoch, f.epoch, g.consumer.assignmentEpoch)
	}
	f.epoch = g.consumer.epoch
	f.checkHeld(g.consumer)
	again := f.log.replayed(f.T, New(f.coordinator.config, nil, f.coordinator.logger), f.now)
	if !reflect.DeepEqual(again.groups["g"].consumer, g.consumer) {
		f.Fatalf("replayed, it is\n%s\nwant\n%s", printWhole(again.groups["g"].consumer), printWhole(g.consumer))
	}
}

// checkHeld holds that each partition has one holder.
func (f *flock) checkHeld(g *consumerGroup) {
	for id, m := range g.members {
		others := g.heldByOthers(id)
		for _, holds := range []held{m.assigned, m.revoking} {
			for topic, partitions := range holds {
				for p := range partitions {
					if others[topic][p] {
						f.Fatalf("%s-%d is held by %s and another", fakeName(topic), p, id)
					}
				}
			}
		}
	}
}

// settle lets everyone talk until all is quiet: then all partitions are read.
func (f *flock) settle() {
	for range 60 {
		f.pass(1100 * time.Millisecond)
		f.beatAll()
		f.check()
	}
	for _, c := range f.clients {
		if c.epoch == 0 {
			f.Fatalf("%s is not in the group: %s", c.id, printHeartbeat(f.answer.(*kmsg.ConsumerGroupHeartbeatResponse)))
		}
	}
	for name, n := range f.cluster.partitions {
		for p := range int32(n) {
			wanted, read := false, false
			for _, c := range f.clients {
				r, _ := compile(c.regex)
				wanted = wanted || strings.Contains(strings.Join(c.topics, " "), name) || c.regex != "" && r.MatchString(name)
				read = read || c.reads.has(fakeID(name), p)
			}
			if wanted && !read {
				f.Fatalf("%s-%d is read by nobody; the group is %s", name, p, printConsumerGroup(ptr(f.coordinator.ConsumerGroupDescribe("g"))))
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }

// printWhole writes all that is known of a group.
func printWhole(g *consumerGroup) string {
	type plain consumerGroup // without its String
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", plain(*g))
	for _, m := range g.sorted() {
		fmt.Fprintf(&b, "%+v\n", *m)
	}
	return b.String()
}

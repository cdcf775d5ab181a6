package group

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// TestAnything lets clients do whatever comes to their minds, in order and out of
// it, and holds what the package promises after every step.
func TestAnything(t *testing.T) { rapid.Check(t, func(t *rapid.T) { newWorld(t).run() }) }

// world is a coordinator, clients of one group, and a log that sometimes fails.
type world struct {
	*rapid.T
	coordinator *Coordinator
	now         time.Time
	log         recordLog
	generation  int32
	state       state
	waiting     map[int]bool // tickets without an answer
	tickets     int
	members     []known // what clients were told, old things too
}

// known is what a client believes it is.
type known struct {
	id         string
	instance   *string
	generation int32
}

func newWorld(t *rapid.T) *world {
	config := Config{
		MinSessionTimeout: time.Second, MaxSessionTimeout: time.Minute, MaxSize: rapid.IntRange(1, 4).Draw(t, "max size"),
		OffsetMetadataMax: 10, OffsetsRetention: 20 * time.Second,
		InitialRebalanceDelay: time.Duration(rapid.IntRange(0, 3).Draw(t, "delay")) * time.Second,
	}
	ids := 0
	newID := func() string { ids++; return strconv.Itoa(ids) }
	return &world{
		T: t, now: time.UnixMilli(1e12), waiting: map[int]bool{}, members: []known{{}},
		coordinator: New(config, newID, slog.New(slog.DiscardHandler)),
	}
}

func (w *world) run() {
	w.Repeat(map[string]func(*rapid.T){
		"":          func(*rapid.T) { w.check() },
		"join":      func(*rapid.T) { w.join() },
		"rejoin":    func(*rapid.T) { w.join() },
		"settle":    func(*rapid.T) { w.settle() },
		"sync":      func(*rapid.T) { w.sync() },
		"heartbeat": func(*rapid.T) { w.heartbeat() },
		"leave":     func(*rapid.T) { w.leave() },
		"commit":    func(*rapid.T) { w.commit() },
		"delete":    func(*rapid.T) { w.delete() },
		"time":      func(*rapid.T) { w.pass(rapid.IntRange(1, 8000).Draw(w.T, "ms")) },
		"expire":    func(*rapid.T) { w.take(w.coordinator.Expire(w.now)) },
		"topics":    func(*rapid.T) { w.take(w.coordinator.TopicsDeleted([]string{"u"})) },
	})
	for range 120 {
		w.pass(10_000)
	}
	if len(w.waiting) > 0 {
		w.Fatalf("tickets %v are never answered", slices.Collect(maps.Keys(w.waiting)))
	}
	w.check()
}

func (w *world) ticket() int {
	w.tickets++
	w.waiting[w.tickets] = true
	return w.tickets
}

// take applies an output; sometimes its records cannot be appended.
func (w *world) take(out Output) {
	w.reply(out.Replies)
	for _, write := range out.Writes {
		if rapid.IntRange(0, 4).Draw(w.T, "append") == 0 {
			w.reply(write.Done(kerr.CoordinatorNotAvailable))
			continue
		}
		w.log = append(w.log, write.Records...)
		w.reply(write.Done(nil))
	}
}

func (w *world) reply(replies []Reply) {
	for _, r := range replies {
		if !w.waiting[r.To.(int)] {
			w.Fatalf("ticket %d is answered again: %s", r.To, printResponse(r.Response.(kmsg.Response)))
		}
		delete(w.waiting, r.To.(int))
		if j, ok := r.Response.(*kmsg.JoinGroupResponse); ok && j.MemberID != "" {
			w.members = append(w.members, known{id: j.MemberID, generation: j.Generation})
		}
	}
}

// someone is what a client believes to be, mostly the newest.
func (w *world) someone() known {
	newest := len(w.members) - 1
	return w.members[rapid.IntRange(max(0, newest-4), newest).Draw(w.T, "who")]
}

func (w *world) instance() *string {
	return rapid.SampledFrom([]*string{nil, nil, kmsg.StringPtr("i"), kmsg.StringPtr("j")}).Draw(w.T, "instance")
}

// settle is what clients do that know what they are: all join again, and the
// leader assigns.
func (w *world) settle() {
	g := w.coordinator.groups["g"]
	if g == nil || len(g.members) == 0 {
		return
	}
	for m := range g.each {
		w.joinAs(known{id: m.id, instance: m.instanceID})
	}
	if leader := g.members[g.leader]; leader != nil {
		w.syncAs(known{id: leader.id, instance: leader.instanceID, generation: g.generation})
	}
}

func (w *world) join() {
	m := w.someone()
	m.instance = w.instance()
	w.joinAs(m)
}

func (w *world) joinAs(m known) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = int16(rapid.SampledFrom([]int{3, 5, 9}).Draw(w.T, "version"))
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = "g", m.id, m.instance, "consumer"
	req.SessionTimeoutMillis = int32(rapid.SampledFrom([]int{500, 2000, 5000, 10_000, 20_000}).Draw(w.T, "session"))
	req.RebalanceTimeoutMillis = int32(rapid.SampledFrom([]int{1000, 5000}).Draw(w.T, "rebalance"))
	for _, name := range rapid.SampledFrom([][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}, {"other"}}).Draw(w.T, "protocols") {
		topics := rapid.SampledFrom([]string{"t", "t+u", "junk"}).Draw(w.T, "topics")
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: subscription(topics)})
	}
	w.take(w.coordinator.JoinGroup(req, Client{ID: "c"}, w.ticket(), w.now))
}

func (w *world) sync() {
	m := w.someone()
	m.instance = w.instance()
	w.syncAs(m)
}

func (w *world) syncAs(m known) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 5, "g", m.id, m.instance, m.generation
	for _, m := range w.members {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.id, MemberAssignment: []byte(m.id)})
	}
	w.take(w.coordinator.SyncGroup(req, w.ticket(), w.now))
}

func (w *world) heartbeat() {
	m := w.someone()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 4, "g", m.id, m.generation
	w.take(w.coordinator.Heartbeat(req, w.ticket(), w.now))
}

func (w *world) leave() {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group = 5, "g"
	for range rapid.IntRange(1, 2).Draw(w.T, "leaving") {
		req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: w.someone().id, InstanceID: w.instance()})
	}
	w.take(w.coordinator.LeaveGroup(req, w.ticket(), w.now))
}

func (w *world) commit() {
	m := w.someone()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 9, "g", m.id, m.generation
	if m.id == "" {
		req.Generation = -1
	}
	p := kmsg.OffsetCommitRequestTopicPartition{Partition: rapid.Int32Range(0, 2).Draw(w.T, "partition"), Offset: rapid.Int64Range(0, 99).Draw(w.T, "offset")}
	topic := rapid.SampledFrom([]string{"t", "u"}).Draw(w.T, "topic")
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	w.take(w.coordinator.OffsetCommit(req, w.ticket(), w.now))
}

func (w *world) delete() {
	w.take(w.coordinator.Delete("g", w.ticket()))
	if w.coordinator.groups["g"] == nil {
		w.generation = 0
	}
}

func (w *world) pass(ms int) {
	w.now = w.now.Add(time.Duration(ms) * time.Millisecond)
	w.take(w.coordinator.Tick(w.now))
}

// check holds the invariants of the package.
func (w *world) check() {
	g := w.coordinator.groups["g"]
	if g == nil {
		w.generation = 0
		return
	}
	if begins := g.state == completingRebalance && g.state != w.state; g.generation < w.generation || begins && g.generation == w.generation {
		w.Fatalf("generation %d follows %d", g.generation, w.generation)
	}
	w.generation, w.state = g.generation, g.state
	if problem := g.problem(); problem != "" {
		w.Fatal(problem)
	}
	if waits := g.tickets(); !maps.Equal(waits, w.waiting) {
		w.Fatalf("%v wait in the group, %v have no answer", waits, w.waiting)
	}
	again := w.log.replayed(w.T, New(w.coordinator.config, nil, w.coordinator.logger), w.now)
	if have, want := printOffsets(again.Offsets("g", nil)), printOffsets(w.coordinator.Offsets("g", nil)); have != want {
		w.Fatalf("replayed, the offsets are\n%swant\n%s", have, want)
	}
}

// tickets are those of the requests that wait for the group.
func (g *group) tickets() map[int]bool {
	all := map[int]bool{}
	for _, m := range g.members {
		for _, waits := range []*waiting{m.joining, m.syncing} {
			if waits != nil {
				all[waits.ticket.(int)] = true
			}
		}
	}
	return all
}

// problem says what of the group does not hold together.
func (g *group) problem() string {
	leader := g.members[g.leader]
	switch {
	case len(g.order) != len(g.members):
		return fmt.Sprintf("the members are %v in order, %d in all", g.order, len(g.members))
	case len(g.members) > 0 && leader == nil:
		return fmt.Sprintf("the leader %q is no member", g.leader)
	case g.state == empty && len(g.members) > 0, (g.state == stable || g.state == completingRebalance) && len(g.members) == 0:
		return fmt.Sprintf("the group is %v with %d members", g.state, len(g.members))
	}
	for id, m := range g.members {
		switch {
		case m.id != id:
			return fmt.Sprintf("%s is listed as %s", m.id, id)
		case m.joining != nil && g.state != preparingRebalance, m.syncing != nil && g.state != completingRebalance:
			return fmt.Sprintf("%s waits in a group that is %v", id, g.state)
		case (g.state == stable || g.state == completingRebalance) && !m.knows(g.protocol):
			return fmt.Sprintf("%s does not know %s", id, g.protocol)
		}
	}
	for instance, id := range g.static {
		if m := g.members[id]; m == nil || m.instanceID == nil || *m.instanceID != instance {
			return fmt.Sprintf("instance %s is no member %s", instance, id)
		}
	}
	return ""
}

// TestReplayOfAnything: whatever bytes a log has for a record, it is read or said
// to be damaged.
func TestReplayOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := Config{MaxSize: 2, Consumer: Consumer{MaxSize: 2, Assignors: []string{"uniform"}, Downgrade: true}}
		c := New(config, nil, slog.New(slog.DiscardHandler))
		for range rapid.IntRange(1, 5).Draw(t, "records") {
			version := rapid.SampledFrom([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17}).Draw(t, "key version")
			key := append([]byte{0, version}, "\x00\x01g"...)
			if version >= 5 && version != 6 {
				key = append(key, "\x00\x01m"...)
			}
			if rapid.IntRange(0, 3).Draw(t, "key is damaged") == 0 {
				key = append(key[:2:2], rapid.SliceOf(rapid.Byte()).Draw(t, "key")...)
			}
			value := append([]byte{0, 0}, rapid.SliceOf(rapid.Byte()).Draw(t, "value")...)
			if err := c.Replay(key, value, time.UnixMilli(1e12)); err != nil && err.Error() == "" {
				t.Fatal("an error without words")
			}
		}
		c.Loaded(time.UnixMilli(1e12))
		c.Tick(time.UnixMilli(2e12))
		for id := range c.groups {
			c.ConsumerGroupDescribe(id)
			c.Describe(id, 6)
		}
	})
}

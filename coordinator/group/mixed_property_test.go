package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/coordinator/assign"
)

// TestMixed is TestConsumers with members of the classic protocol among them: the
// group changes its kind as they come and go.
func TestMixed(t *testing.T) { rapid.Check(t, func(t *rapid.T) { (&mix{flock: newFlock(t)}).run() }) }

// mix is a flock with classic members.
type mix struct {
	*flock
	classics []*classic
	began    int
}

// classic is a client of the classic protocol as it should be. An eager one lets go
// of everything before it joins again; a cooperative one keeps reading, and lets go
// of what it is not assigned any more.
type classic struct {
	id          string
	name        string
	cooperative bool
	generation  int32
	state       classicState
	reads       held
}

type classicState int8

const (
	isOut     classicState = iota // it has to join
	isJoining                     // it waits for the answer
	isSyncing                     // likewise
	isIn                          // it has its assignment
)

func (m *mix) run() {
	m.flock.others = m.handOut
	m.Repeat(map[string]func(*rapid.T){
		"":        func(*rapid.T) { m.check() },
		"begin":   func(*rapid.T) { m.flock.begin() },
		"classic": func(*rapid.T) { m.beginClassic() },
		"beat":    func(*rapid.T) { m.flock.beat(m.flock.someone(), m.chance(6)) },
		"beats":   func(*rapid.T) { m.flock.beatAll() },
		"talk":    func(*rapid.T) { m.talk(m.someClassic()) },
		"talks":   func(*rapid.T) { m.talkAll() },
		"leave":   func(*rapid.T) { m.flock.leave(m.flock.someone()) },
		"quit":    func(*rapid.T) { m.quit(m.someClassic()) },
		"crash":   func(*rapid.T) { m.flock.crash() },
		"grow":    func(*rapid.T) { m.grow() },
		"time":    func(*rapid.T) { m.passTime(time.Duration(rapid.IntRange(1, 3000).Draw(m.T, "ms")) * time.Millisecond) },
	})
	for range 90 {
		m.passTime(1100 * time.Millisecond)
		m.flock.beatAll()
		m.talkAll()
		m.check()
	}
	m.wantAllIn()
}

// grow adds partitions. Topics do not go here: a classic member finds out by itself.
func (m *mix) grow() {
	m.flock.setTopics(map[string]int{"ta": m.cluster.partitions["ta"] + 1, "tb": 2, "tc": 1})
}

func (m *mix) beginClassic() {
	if len(m.classics) >= 3 {
		return
	}
	m.began++
	m.classics = append(m.classics, &classic{name: fmt.Sprint("c", m.began), cooperative: m.chance(2), reads: held{}})
}

func (m *mix) someClassic() *classic {
	if len(m.classics) == 0 {
		return nil
	}
	return m.classics[rapid.IntRange(0, len(m.classics)-1).Draw(m.T, "classic")]
}

func (m *mix) talkAll() {
	for _, c := range slices.Clone(m.classics) {
		m.talk(c)
	}
}

// talk lets a client say what it has to say next.
func (m *mix) talk(c *classic) {
	switch {
	case c == nil:
	case c.state == isOut:
		m.join(c)
	case c.state == isIn:
		m.heartbeat(c)
	}
}

func (m *mix) join(c *classic) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = 3, "g", c.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30_000, 20_000
	said := kmsg.ConsumerMemberMetadata{Version: 1, Topics: []string{"ta", "tb"}}
	if c.cooperative {
		for topic, list := range c.reads.only() {
			said.OwnedPartitions = append(said.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: fakeName(topic), Partitions: list})
		}
	} else {
		c.reads = held{}
	}
	for _, name := range []string{"range", "sticky"} {
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: said.AppendTo(nil)})
	}
	c.state = isJoining
	m.deliver(m.coordinator.JoinGroup(req, Client{ID: c.name}, c, m.now))
}

func (m *mix) heartbeat(c *classic) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 3, "g", c.id, c.generation
	m.deliver(m.coordinator.Heartbeat(req, c, m.now))
}

func (m *mix) quit(c *classic) {
	if c == nil {
		return
	}
	m.classics = slices.DeleteFunc(m.classics, func(other *classic) bool { return other == c })
	c.reads = held{}
	if c.id == "" {
		return
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID = 1, "g", c.id
	m.deliver(m.coordinator.LeaveGroup(req, c, m.now))
}

func (m *mix) passTime(d time.Duration) {
	m.now = m.now.Add(d)
	m.deliver(m.coordinator.Tick(m.now))
	for _, c := range m.clients {
		if g := m.coordinator.consumerGroup("g"); g == nil || g.consumer.members[c.id] == nil {
			c.epoch, c.reads = 0, held{}
		}
	}
	for _, c := range m.classics {
		g := m.coordinator.groups["g"]
		if g == nil || g.members[c.id] == nil && (g.consumer == nil || g.consumer.members[c.id] == nil) {
			c.id, c.generation, c.state, c.reads = "", -1, isOut, held{}
		}
	}
}

// deliver takes an output, and hands the answers to the clients that they are for.
func (m *mix) deliver(out Output) {
	var replies []Reply
	replies = append(replies, out.Replies...)
	for _, write := range out.Writes {
		m.log = append(m.log, write.Records...)
		replies = append(replies, write.Done(nil)...)
	}
	m.handOut(replies)
}

func (m *mix) handOut(replies []Reply) {
	for _, r := range replies {
		if c, is := r.To.(*classic); is && slices.Contains(m.classics, c) {
			m.told(c, r.Response)
		}
	}
}

// told is an answer that reaches a classic client.
func (m *mix) told(c *classic, resp any) {
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		m.joined(c, r)
	case *kmsg.SyncGroupResponse:
		m.synced(c, r)
	case *kmsg.HeartbeatResponse:
		m.refused(c, r.ErrorCode)
	}
}

// refused sends a client back to join, and reports whether that is so.
func (m *mix) refused(c *classic, code int16) bool {
	switch code {
	case 0:
		return false
	case kerr.RebalanceInProgress.Code:
	default:
		c.id, c.generation, c.reads = "", -1, held{}
	}
	c.state = isOut
	return true
}

func (m *mix) joined(c *classic, r *kmsg.JoinGroupResponse) {
	if m.refused(c, r.ErrorCode) {
		return
	}
	c.id, c.generation, c.state = r.MemberID, r.Generation, isSyncing
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 3, "g", c.id, c.generation
	if r.LeaderID == c.id {
		req.GroupAssignment = m.lead(r.Members)
	}
	m.deliver(m.coordinator.SyncGroup(req, c, m.now))
}

// lead divides the topics: a cooperative member gets nothing that another says it
// has.
func (m *mix) lead(members []kmsg.JoinGroupResponseMember) (given []kmsg.SyncGroupRequestGroupAssignment) {
	owners, next := map[string]string{}, 0
	for _, member := range members {
		if said, err := readSubscription(member.ProtocolMetadata); err == nil {
			for _, o := range said.OwnedPartitions {
				for _, p := range o.Partitions {
					owners[fmt.Sprint(o.Topic, p)] = member.MemberID
				}
			}
		}
	}
	byMember := map[string]*kmsg.ConsumerMemberAssignment{}
	for _, member := range members {
		byMember[member.MemberID] = &kmsg.ConsumerMemberAssignment{}
	}
	for _, topic := range []string{"ta", "tb"} {
		for p := range int32(m.cluster.partitions[topic]) {
			to := members[next%len(members)].MemberID
			next++
			if owner := owners[fmt.Sprint(topic, p)]; owner != "" && owner != to {
				continue // in the next round
			}
			a := byMember[to]
			a.Topics = append(a.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: topic, Partitions: []int32{p}})
		}
	}
	for id, a := range inOrder(byMember) {
		given = append(given, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: a.AppendTo(nil)})
	}
	return given
}

func (m *mix) synced(c *classic, r *kmsg.SyncGroupResponse) {
	if m.refused(c, r.ErrorCode) {
		return
	}
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(r.MemberAssignment); err != nil && len(r.MemberAssignment) > 0 {
		m.Fatalf("%s is assigned %x: %v", c.name, r.MemberAssignment, err)
	}
	p := assign.Partitions{}
	for _, t := range a.Topics {
		for _, partition := range t.Partitions {
			p.Add(fakeID(t.Topic), partition)
		}
	}
	before := c.reads.only()
	c.reads, c.state = gotAt(p, 0), isIn
	lost := false
	for topic, list := range before {
		for _, partition := range list {
			lost = lost || !c.reads.has(topic, partition)
		}
	}
	if c.cooperative && lost {
		c.state = isOut // it joins again so that others get it
	}
}

// check holds that nothing is read by two, and what holds of consumer groups.
func (m *mix) check() {
	readers := map[string]string{}
	note := func(who string, reads held) {
		for topic, list := range reads.only() {
			for _, p := range list {
				at := fmt.Sprint(fakeName(topic), "-", p)
				if other := readers[at]; other != "" {
					m.Fatalf("%s is read by %s and by %s", at, other, who)
				}
				readers[at] = who
			}
		}
	}
	for _, c := range m.clients {
		note(c.id, c.reads)
	}
	for _, c := range m.classics {
		note(c.name, c.reads)
	}
	g := m.coordinator.groups["g"]
	switch {
	case g == nil:
	case g.consumer != nil:
		m.checkHeld(g.consumer)
	default:
		if problem := g.problem(); problem != "" {
			m.Fatal(problem)
		}
	}
	if g != nil {
		m.log.checkReplay(m.T, m.coordinator, m.now)
	}
}

// wantAllIn holds that in the end nobody is left out.
func (m *mix) wantAllIn() {
	for _, c := range m.classics {
		if c.state != isIn {
			m.Fatalf("%s is still %d", c.name, c.state)
		}
	}
	for _, c := range m.clients {
		if c.epoch == 0 {
			m.Fatalf("%s is not in the group", c.id)
		}
	}
}

package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// state is where a group is in its cycle.
type state int8

const (
	empty               state = iota // no members; offsets perhaps
	preparingRebalance               // members are asked to join again
	completingRebalance              // the leader is expected to assign
	stable
)

// String is the name that clients know.
func (s state) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}[s]
}

// group is one classic consumer group.
type group struct {
	id           string
	state        state
	since        time.Time // when it came into its state
	generation   int32
	protocolType string // "consumer"; empty for a group that only ever committed offsets
	protocol     string // that the generation agreed on
	leader       string // member id
	members      map[string]*member
	order        []string          // member ids in the order in which they joined
	static       map[string]string // member ids by group.instance.id
	pending      map[string]time.Time

	joinDeadline  time.Time // when a preparing group goes on without those that are missing
	delayed       bool      // it is the first rebalance, which waits for more members
	delayLeft     time.Duration
	delayJoined   bool // someone joined since the delay began
	syncDeadline  time.Time
	assignWritten bool // the leader's assignment is on its way to the log

	offsets map[protocol.TopicPartition]committed

	consumer *consumerGroup // nil for a classic group; else what stands above of members does not count
	watched  map[string]*watch
	looked   topicsSeen // at which change of the cluster the consumer group was looked at
}

// member is one member of a group.
type member struct {
	id               string
	instanceID       *string // of a static member (KIP-345)
	client           Client
	sessionTimeout   time.Duration
	rebalanceTimeout time.Duration
	protocols        []kmsg.JoinGroupRequestProtocol
	assignment       []byte
	deadline         time.Time // by when it must be heard of
	isNew            bool      // it joined and did not get an answer yet
	unsynced         bool      // it has not asked for its assignment in this generation
	joining          *waiting  // its JoinGroup waits for the others
	syncing          *waiting  // its SyncGroup waits for the leader
}

// waiting is a request that waits for its group.
type waiting struct {
	ticket  Ticket
	version int16
}

func newGroup(id string, now time.Time) *group {
	return &group{
		id: id, since: now, members: map[string]*member{}, static: map[string]string{}, pending: map[string]time.Time{},
		offsets: map[protocol.TopicPartition]committed{},
	}
}

func (g *group) become(s state, now time.Time) { g.state, g.since = s, now }

// add takes a member in; the first leads.
func (g *group) add(m *member) {
	g.members[m.id] = m
	g.order = append(g.order, m.id)
	if m.instanceID != nil {
		g.static[*m.instanceID] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
}

// remove takes a member out. If it led, the next that waits to join leads.
func (g *group) remove(m *member) {
	delete(g.members, m.id)
	g.order = slices.DeleteFunc(g.order, func(id string) bool { return id == m.id })
	if m.instanceID != nil && g.static[*m.instanceID] == m.id {
		delete(g.static, *m.instanceID)
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0]
		}
	}
}

// rename gives a static member's place to its new instance.
func (g *group) rename(m *member, id string) {
	delete(g.members, m.id)
	g.order[slices.Index(g.order, m.id)] = id
	if g.leader == m.id {
		g.leader = id
	}
	m.id = id
	g.members[id] = m
	g.static[*m.instanceID] = id
}

// each yields the members in the order in which they joined.
func (g *group) each(yield func(*member) bool) {
	for _, id := range slices.Clone(g.order) {
		if m := g.members[id]; m != nil && !yield(m) {
			return
		}
	}
}

func (g *group) longestRebalance() time.Duration {
	longest := time.Duration(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeout)
	}
	return longest
}

// everyoneJoined reports whether nobody is missing any more.
func (g *group) everyoneJoined() bool {
	for _, m := range g.members {
		if m.joining == nil {
			return false
		}
	}
	return len(g.pending) == 0
}

// supports reports whether a member with these protocols could be in the group:
// at least one is known to all.
func (g *group) supports(protocolType string, protocols []kmsg.JoinGroupRequestProtocol) bool {
	if len(g.members) == 0 {
		return true
	}
	if g.protocolType != protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return g.allKnow(p.Name) })
}

func (g *group) allKnow(protocol string) bool {
	for _, m := range g.members {
		if !m.knows(protocol) {
			return false
		}
	}
	return true
}

// choose picks the protocol that most members prefer among those that all know.
func (g *group) choose() string {
	votes := map[string]int{}
	for m := range g.each {
		for _, p := range m.protocols {
			if g.allKnow(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for name, n := range votes {
		if best == "" || n > votes[best] || n == votes[best] && name < best {
			best = name
		}
	}
	return best
}

func (m *member) knows(protocol string) bool {
	return slices.ContainsFunc(m.protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name == protocol })
}

// metadata is what the member says of itself in a protocol: its subscription.
func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// sameProtocols reports whether the member said the same before.
func (m *member) sameProtocols(protocols []kmsg.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// heard notes that the member is alive.
func (m *member) heard(now time.Time) { m.deadline = now.Add(m.sessionTimeout) }

// newMemberTimeout is how long a new member may wait to be let in. It cannot send
// heartbeats meanwhile, and if its client is gone, nothing else would tell.
const newMemberTimeout = 5 * time.Minute

// silent reports whether the member's time to be heard of is over. Who waits for
// us is alive.
func (m *member) silent(now time.Time) bool { return !m.waits() && !m.deadline.After(now) }

func (m *member) waits() bool { return !m.isNew && (m.joining != nil || m.syncing != nil) }

// awaitingJoin counts the members that joined already.
func (g *group) awaitingJoin() (n int) {
	for _, m := range g.members {
		if m.joining != nil {
			n++
		}
	}
	return n
}

// allSynced reports whether every member asked for its assignment.
func (g *group) allSynced() bool {
	for _, m := range g.members {
		if m.unsynced {
			return false
		}
	}
	return true
}

// dismiss answers what the member waits for. The answer names id.
func (m *member) dismiss(id string, err error, out *Output) {
	if w := m.joining; w != nil {
		m.joining = nil
		out.reply(w.ticket, joinError(w.version, id, err))
	}
	if w := m.syncing; w != nil {
		m.syncing = nil
		out.reply(w.ticket, syncError(w.version, err))
	}
}

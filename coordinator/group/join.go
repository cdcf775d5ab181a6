package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// JoinGroup lets a client become a member, or join the next generation. The
// subscriptions in req belong to the coordinator from now on.
func (c *Coordinator) JoinGroup(req *kmsg.JoinGroupRequest, client Client, to Ticket, now time.Time) (out Output) {
	session := time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	g := c.groups[req.Group]
	var err error
	switch {
	case !validID(req.Group):
		err = kerr.InvalidGroupID
	case session < c.config.MinSessionTimeout || session > c.config.MaxSessionTimeout:
		err = kerr.InvalidSessionTimeout
	case g == nil && req.MemberID != "":
		err = kerr.UnknownMemberID
	case len(req.Protocols) == 0 || req.ProtocolType == "":
		err = kerr.InconsistentGroupProtocol
	}
	if err != nil {
		out.reply(to, joinError(req.Version, req.MemberID, err))
		return out
	}
	g = c.obtain(req.Group, now)
	if g.consumer != nil && len(g.consumer.members) > 0 {
		if err := c.joinConsumer(g, req, client, to, now, &out); err != nil {
			out.reply(to, joinError(req.Version, req.MemberID, err))
		}
		return out
	}
	if g.consumer != nil {
		c.leaveEmptyConsumer(g, now, &out)
	}
	j := joining{Coordinator: c, group: g, req: req, client: client, to: to, now: now, out: &out}
	if err := j.admit(); err != nil {
		out.reply(to, joinError(req.Version, req.MemberID, err))
	}
	c.schedule(g)
	return out
}

func joinError(version int16, memberID string, err error) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.SetVersion(version)
	resp.ErrorCode, resp.Generation, resp.MemberID = code(err), -1, memberID
	if version < 7 {
		resp.Protocol = new(string)
	}
	return resp
}

// joining is one JoinGroup on its way.
type joining struct {
	*Coordinator
	group  *group
	req    *kmsg.JoinGroupRequest
	client Client
	to     Ticket
	now    time.Time
	out    *Output
}

func (j *joining) admit() error {
	g, req := j.group, j.req
	_, known := g.members[req.MemberID]
	_, pending := g.pending[req.MemberID]
	if !j.roomFor(g.members[req.MemberID]) {
		j.turnAway(req.MemberID)
		return nil
	}
	if !g.supports(req.ProtocolType, req.Protocols) {
		return kerr.InconsistentGroupProtocol
	}
	switch {
	case req.MemberID == "" && req.InstanceID != nil:
		return j.newStatic()
	case req.MemberID == "":
		return j.newDynamic()
	case pending:
		delete(g.pending, req.MemberID)
		j.enter(req.MemberID)
		return nil
	}
	if req.InstanceID != nil {
		switch holder, found := g.static[*req.InstanceID]; {
		case !found:
			return kerr.UnknownMemberID
		case holder != req.MemberID:
			return kerr.FencedInstanceID
		}
	}
	if !known {
		return kerr.UnknownMemberID
	}
	return j.again(g.members[req.MemberID])
}

// roomFor reports whether a client may be in the group, by group.max.size. During
// a rebalance places go to those that come first, so that a group that is too
// large shrinks. A static member that comes back takes no place more.
func (j *joining) roomFor(m *member) bool {
	g := j.group
	switch {
	case g.state == empty:
		return true
	case g.state == preparingRebalance:
		return m != nil && m.joining != nil || g.awaitingJoin() < j.config.MaxSize
	case j.req.InstanceID != nil && g.static[*j.req.InstanceID] != "":
		return true
	}
	return m != nil || len(g.members) < j.config.MaxSize
}

// turnAway refuses a client for which there is no room. It is no member any more.
func (j *joining) turnAway(id string) {
	g := j.group
	j.out.reply(j.to, joinError(j.req.Version, "", kerr.GroupMaxSizeReached))
	delete(g.pending, id)
	if m := g.members[id]; m != nil {
		g.remove(m)
		j.dropped(g, j.now, j.out)
	}
}

// newDynamic gives a client a member id; from version 4 on it has to come back
// with it (KIP-394), so that a client that gives up leaves nothing behind.
func (j *joining) newDynamic() error {
	id := j.client.ID + "-" + j.newID()
	if j.req.Version < 4 {
		j.enter(id)
		return nil
	}
	j.group.pending[id] = j.now.Add(time.Duration(j.req.SessionTimeoutMillis) * time.Millisecond)
	j.out.reply(j.to, joinError(j.req.Version, id, kerr.MemberIDRequired))
	return nil
}

// newStatic takes in a static member, or a new instance of one that is there.
func (j *joining) newStatic() error {
	g := j.group
	id := *j.req.InstanceID + "-" + j.newID()
	old := g.members[g.static[*j.req.InstanceID]]
	if old == nil {
		j.enter(id)
		return nil
	}
	old.dismiss(old.id, kerr.FencedInstanceID, j.out)
	before, leader := *old, g.leader
	g.rename(old, id)
	j.refresh(old)
	if g.state == stable && g.choose() == g.protocol {
		j.replaceQuietly(old, before, leader)
		return nil
	}
	j.wait(old)
	if g.state == preparingRebalance {
		j.completeIfJoined(g, j.now, j.out)
	} else {
		j.prepare(g, j.now, j.out)
	}
	return nil
}

// replaceQuietly lets a static member's new instance go on where the old one
// stopped, without a rebalance: whatever it subscribes to now, the others need
// not stop for it. Its new member id is written down first; if that fails, all is
// as before.
func (j *joining) replaceQuietly(m *member, before member, leader string) {
	g, version := j.group, j.req.Version
	response := j.joined(g, m, version)
	switch {
	case version >= 9:
		response.SkipAssignment = g.leader == m.id
	default:
		// An old client that finds itself leader would assign anew.
		response.LeaderID, response.Members = leader, nil
	}
	j.out.write([]Record{g.metadataRecord(j.now)}, func(err error) []Reply {
		if err != nil {
			g.rename(m, before.id)
			*m = before
			m.heard(j.now)
			return []Reply{{To: j.to, Response: joinError(version, "", err)}}
		}
		return []Reply{{To: j.to, Response: response, Failed: joinError(version, "", kerr.NotCoordinator)}}
	})
}

// enter makes the client a member under id and begins a rebalance.
func (j *joining) enter(id string) {
	g := j.group
	m := &member{id: id, instanceID: j.req.InstanceID, isNew: true}
	j.refresh(m)
	m.deadline = j.now.Add(newMemberTimeout)
	g.protocolType = j.req.ProtocolType
	g.add(m)
	j.wait(m)
	if g.state == preparingRebalance {
		g.delayJoined = true
		j.completeIfJoined(g, j.now, j.out)
		return
	}
	j.prepare(g, j.now, j.out)
	g.delayJoined = false
}

// refresh takes over what the request says of the member.
func (j *joining) refresh(m *member) {
	req := j.req
	m.client, m.protocols = j.client, req.Protocols
	m.sessionTimeout = time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	m.rebalanceTimeout = m.sessionTimeout
	if req.Version >= 1 {
		m.rebalanceTimeout = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	m.heard(j.now)
}

func (j *joining) wait(m *member) { m.joining = &waiting{ticket: j.to, version: j.req.Version} }

// again serves a member that joins anew.
func (j *joining) again(m *member) error {
	g := j.group
	same := m.sameProtocols(j.req.Protocols)
	switch {
	case g.state == preparingRebalance:
		j.supersede(m)
		j.refresh(m)
		j.wait(m)
		j.completeIfJoined(g, j.now, j.out)
	case g.state == completingRebalance && same, g.state == stable && same && g.leader != m.id:
		// It did not get the answer, or asks without need: the generation stands.
		m.heard(j.now)
		j.out.reply(j.to, j.joined(g, m, j.req.Version))
	case g.state == empty:
		return kerr.UnknownMemberID
	default:
		j.refresh(m)
		j.wait(m)
		j.prepare(g, j.now, j.out)
	}
	return nil
}

// supersede answers a join of the same member that still waits: its client has
// given up on it.
func (j *joining) supersede(m *member) {
	if w := m.joining; w != nil {
		m.joining = nil
		j.out.reply(w.ticket, joinError(w.version, m.id, kerr.RebalanceInProgress))
	}
}

// joined is the answer to a member of the generation.
func (c *Coordinator) joined(g *group, m *member, version int16) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.SetVersion(version)
	resp.Generation, resp.LeaderID, resp.MemberID = g.generation, g.leader, m.id
	protocol, protocolType := g.protocol, g.protocolType
	resp.Protocol, resp.ProtocolType = &protocol, &protocolType
	if g.leader != m.id {
		return resp
	}
	for other := range g.each {
		told := kmsg.NewJoinGroupResponseMember()
		told.MemberID, told.InstanceID, told.ProtocolMetadata = other.id, other.instanceID, other.metadata(g.protocol)
		resp.Members = append(resp.Members, told)
	}
	return resp
}

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
	case req.Group == "":
		err = kerr.InvalidGroupID
	case session < c.config.MinSessionTimeout || session > c.config.MaxSessionTimeout:
		err = kerr.InvalidSessionTimeout
	case g == nil && req.MemberID != "":
		err = kerr.UnknownMemberID
	case len(req.Protocols) == 0 || req.ProtocolType == "":
		err = kerr.InconsistentGroupProtocol
	}
	if err != nil {
		out.reply(to, joinError(req, req.MemberID, err), nil)
		return out
	}
	g = c.obtain(req.Group, now)
	j := joining{Coordinator: c, group: g, req: req, client: client, to: to, now: now, out: &out}
	if err := j.admit(); err != nil {
		out.reply(to, joinError(req, req.MemberID, err), nil)
	}
	c.schedule(g)
	return out
}

func joinError(req *kmsg.JoinGroupRequest, memberID string, err error) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.SetVersion(req.Version)
	resp.ErrorCode, resp.Generation, resp.MemberID = code(err), -1, memberID
	if req.Version < 7 {
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
	if !known && len(g.members) >= j.config.MaxSize && !(req.InstanceID != nil && g.static[*req.InstanceID] != "") {
		return kerr.GroupMaxSizeReached
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

// newDynamic gives a client a member id; from version 4 on it has to come back
// with it (KIP-394), so that a client that gives up leaves nothing behind.
func (j *joining) newDynamic() error {
	id := j.client.ID + "-" + j.newID()
	if j.req.Version < 4 {
		j.enter(id)
		return nil
	}
	j.group.pending[id] = j.now.Add(time.Duration(j.req.SessionTimeoutMillis) * time.Millisecond)
	j.out.reply(j.to, joinError(j.req, id, kerr.MemberIDRequired), nil)
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
	j.fence(old)
	unchanged := g.state == stable && old.sameProtocols(j.req.Protocols) && g.choose() == g.protocol
	g.rename(old, id)
	j.refresh(old)
	if g.state == stable && unchanged {
		return j.replaceQuietly(old)
	}
	j.wait(old)
	if g.state == preparingRebalance {
		j.completeIfJoined(g, j.now, j.out)
	} else {
		j.prepare(g, j.now, j.out)
	}
	return nil
}

// fence ends what the former instance of a static member waits for.
func (j *joining) fence(old *member) {
	if w := old.joining; w != nil {
		old.joining = nil
		req := &kmsg.JoinGroupRequest{Version: w.version}
		j.out.reply(w.ticket, joinError(req, old.id, kerr.FencedInstanceID), nil)
	}
	if w := old.syncing; w != nil {
		old.syncing = nil
		j.out.reply(w.ticket, syncError(w.version, kerr.FencedInstanceID), nil)
	}
}

// replaceQuietly lets a static member's new instance go on where the old one
// stopped, without a rebalance. Its new member id is written down first.
func (j *joining) replaceQuietly(m *member) error {
	g, req, to := j.group, j.req, j.to
	m.heard(j.now)
	response := j.joined(g, m, req.Version)
	if req.Version >= 9 {
		response.SkipAssignment = g.leader == m.id
	} else if g.leader == m.id {
		response.LeaderID = "" // an older leader would assign again; nobody else leads
	}
	if g.leader == m.id && req.Version < 9 {
		response.Members = nil
	}
	generation := g.generation
	j.out.write([]Record{g.metadataRecord(j.now)}, func(err error) []Reply {
		failed := joinError(req, m.id, kerr.NotCoordinator)
		if err != nil {
			return []Reply{{To: to, Response: joinError(req, m.id, err)}}
		}
		response.Generation = generation
		return []Reply{{To: to, Response: response, Failed: failed}}
	})
	return nil
}

// enter makes the client a member under id and begins a rebalance.
func (j *joining) enter(id string) {
	g := j.group
	m := &member{id: id, instanceID: j.req.InstanceID}
	j.refresh(m)
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
		j.out.reply(j.to, j.joined(g, m, j.req.Version), nil)
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
		j.out.reply(w.ticket, joinError(&kmsg.JoinGroupRequest{Version: w.version}, m.id, kerr.RebalanceInProgress), nil)
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

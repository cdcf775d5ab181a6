package group

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

func code(err error) int16 { return protocol.ErrorCode(err) }

func syncError(version int16, err error) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.SetVersion(version)
	resp.ErrorCode, resp.MemberAssignment = code(err), []byte{}
	return resp
}

// SyncGroup gives a member its assignment, which the leader brings. The
// assignments in req belong to the coordinator from now on.
func (c *Coordinator) SyncGroup(req *kmsg.SyncGroupRequest, to Ticket, now time.Time) (out Output) {
	if g := c.consumerGroup(req.Group); g != nil {
		resp, err := c.syncConsumer(g, req, now)
		if err != nil {
			resp = syncError(req.Version, err)
		}
		out.reply(to, resp)
		return out
	}
	g, m, err := c.find(req.Group, req.MemberID, req.InstanceID)
	switch {
	case err != nil:
	case req.Generation != g.generation:
		err = kerr.IllegalGeneration
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType, req.Protocol != nil && *req.Protocol != g.protocol:
		err = kerr.InconsistentGroupProtocol
	case g.state == preparingRebalance:
		err = kerr.RebalanceInProgress
	case g.state == empty:
		err = kerr.UnknownMemberID
	}
	if err != nil {
		out.reply(to, syncError(req.Version, err))
		return out
	}
	m.heard(now)
	m.unsynced = false
	if g.state == stable {
		out.reply(to, synced(g, m, req.Version))
		return out
	}
	if w := m.syncing; w != nil {
		out.reply(w.ticket, syncError(w.version, kerr.RebalanceInProgress))
	}
	m.syncing = &waiting{ticket: to, version: req.Version}
	if g.leader == m.id && !g.assignWritten {
		c.assign(g, req.GroupAssignment, now, &out)
	}
	c.schedule(g)
	return out
}

// assign writes down what the leader assigned, and then answers everyone.
func (c *Coordinator) assign(g *group, assignments []kmsg.SyncGroupRequestGroupAssignment, now time.Time, out *Output) {
	of := make(map[string][]byte, len(assignments))
	for _, a := range assignments {
		of[a.MemberID] = a.MemberAssignment
	}
	for m := range g.each {
		m.assignment = of[m.id]
	}
	g.assignWritten = true
	generation := g.generation
	out.write([]Record{g.metadataRecord(now)}, func(err error) (replies []Reply) {
		if g.generation != generation || g.state != completingRebalance {
			return nil
		}
		if err != nil {
			return c.assignFailed(g, err, now)
		}
		g.assignWritten = false
		g.become(stable, now)
		for m := range g.each {
			if w := m.syncing; w != nil {
				m.syncing = nil
				m.heard(now)
				replies = append(replies, Reply{To: w.ticket, Response: synced(g, m, w.version), Failed: syncError(w.version, kerr.NotCoordinator)})
			}
		}
		return replies
	})
}

// assignFailed tells everyone that the assignment could not be written, and has
// them join again.
func (c *Coordinator) assignFailed(g *group, err error, now time.Time) []Reply {
	var out Output
	for m := range g.each {
		m.assignment = nil
		m.dismiss(m.id, err, &out)
		m.heard(now)
	}
	c.prepare(g, now, &out)
	c.schedule(g)
	return out.Replies // nothing is written: no member has joined again
}

func synced(g *group, m *member, version int16) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.SetVersion(version)
	protocol, protocolType := g.protocol, g.protocolType
	resp.Protocol, resp.ProtocolType = &protocol, &protocolType
	resp.MemberAssignment = m.assignment
	if m.assignment == nil {
		resp.MemberAssignment = []byte{}
	}
	return resp
}

// consumerGroup is the group of that id if it is one of the new protocol.
func (c *Coordinator) consumerGroup(id string) *group {
	if g := c.groups[id]; g != nil && g.consumer != nil {
		return g
	}
	return nil
}

// validID reports whether a group may have that id. Longer ones do not fit into
// the records.
func validID(id string) bool { return id != "" && len(id) <= math.MaxInt16 }

// find returns a member, or why the client is none. A static member is known by
// its instance id too.
func (c *Coordinator) find(id, memberID string, instanceID *string) (*group, *member, error) {
	if id == "" {
		return nil, nil, kerr.InvalidGroupID
	}
	g := c.groups[id]
	if g == nil {
		return nil, nil, kerr.UnknownMemberID
	}
	if instanceID != nil {
		switch holder, found := g.static[*instanceID]; {
		case !found:
			return g, nil, kerr.UnknownMemberID
		case holder != memberID:
			return g, nil, kerr.FencedInstanceID
		}
	}
	m := g.members[memberID]
	if m == nil {
		return g, nil, kerr.UnknownMemberID
	}
	return g, m, nil
}

// Heartbeat keeps a member alive and tells it when to join again.
func (c *Coordinator) Heartbeat(req *kmsg.HeartbeatRequest, to Ticket, now time.Time) (out Output) {
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	if g := c.consumerGroup(req.Group); g != nil {
		resp.ErrorCode = code(c.beatConsumer(g, req, now))
		out.reply(to, resp)
		return out
	}
	g, m, err := c.find(req.Group, req.MemberID, req.InstanceID)
	switch {
	case err != nil:
	case req.Generation != g.generation:
		err = kerr.IllegalGeneration
	default:
		m.heard(now)
		if g.state == preparingRebalance {
			err = kerr.RebalanceInProgress
		}
	}
	resp.ErrorCode = code(err)
	out.reply(to, resp)
	return out
}

// LeaveGroup removes members.
func (c *Coordinator) LeaveGroup(req *kmsg.LeaveGroupRequest, to Ticket, now time.Time) (out Output) {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	leaving := req.Members
	if req.Version < 3 {
		leaving = []kmsg.LeaveGroupRequestMember{{MemberID: req.MemberID}}
	}
	if g := c.consumerGroup(req.Group); g != nil {
		c.leaveAll(g, req, leaving, to, now, &out)
		return out
	}
	removed := false
	for _, l := range leaving {
		err := c.leave(req.Group, l, &out)
		removed = removed || err == nil
		told := leftMember(l, err)
		if req.Version < 3 {
			resp.ErrorCode = told.ErrorCode
			break
		}
		resp.Members = append(resp.Members, told)
	}
	if req.Group == "" {
		resp.ErrorCode, resp.Members = kerr.InvalidGroupID.Code, nil
	}
	out.reply(to, resp)
	if removed {
		g := c.groups[req.Group]
		c.dropped(g, now, &out)
		c.schedule(g)
	}
	return out
}

// leave takes one member out of its group; the group does not go on yet.
func (c *Coordinator) leave(id string, l kmsg.LeaveGroupRequestMember, out *Output) error {
	g := c.groups[id]
	if g == nil {
		return kerr.UnknownMemberID
	}
	memberID := l.MemberID
	if l.InstanceID != nil && memberID == "" {
		memberID = g.static[*l.InstanceID] // an operator removes a static member by its instance id
	}
	if _, pending := g.pending[memberID]; pending && l.InstanceID == nil {
		delete(g.pending, memberID)
		return nil
	}
	_, m, err := c.find(id, memberID, l.InstanceID)
	if err != nil {
		return err
	}
	m.dismiss("", kerr.UnknownMemberID, out)
	g.remove(m)
	return nil
}

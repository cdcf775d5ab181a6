package group

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Members that speak the classic protocol may be in a consumer group: their
// generation is the member epoch, a rebalance is being told to join again, and a
// SyncGroup asks for what the member has. They do not assign.

// joinConsumer serves JoinGroup of a consumer group that has members.
func (c *Coordinator) joinConsumer(g *group, req *kmsg.JoinGroupRequest, client Client, to Ticket, now time.Time, out *Output) error {
	d := c.draftOf(g.id, g.consumer, now)
	id, unknown := req.MemberID, req.MemberID == ""
	if unknown {
		id = c.newID()
	}
	switch {
	case !c.config.Consumer.Upgrade && !c.config.Consumer.Downgrade:
		return kerr.InconsistentGroupProtocol
	case d.full(id):
		return kerr.GroupMaxSizeReached
	case !d.group.knowsOneOf(req.ProtocolType, req.Protocols):
		return kerr.InconsistentGroupProtocol
	case unknown && req.InstanceID == nil && req.Version >= 4:
		out.reply(to, joinError(req.Version, id, kerr.MemberIDRequired))
		return nil
	}
	said, err := readSubscription(req.Protocols[0].Metadata)
	if err != nil {
		return fmt.Errorf("%w: %w", err, kerr.InconsistentGroupProtocol)
	}
	who := claim{id: id, instanceID: req.InstanceID, joins: unknown || req.InstanceID == nil, classic: true}
	var former *consumerMember
	if req.InstanceID != nil {
		former = d.group.staticMember(*req.InstanceID)
	}
	before, err := d.memberFor(who)
	if err != nil {
		return err
	}
	j := classicJoin{draft: d, req: req, former: former, before: before, after: classicSays(before, req, client, &said)}
	return j.serve(&said, to, out)
}

// classicJoin is one JoinGroup of a consumer group on its way.
type classicJoin struct {
	*draft
	req           *kmsg.JoinGroupRequest
	former        *consumerMember // the instance that was there, of a static member
	before, after *consumerMember
}

func (j *classicJoin) serve(said *kmsg.ConsumerMemberMetadata, to Ticket, out *Output) error {
	d, req := j.draft, j.req
	bump, changed, err := d.subscribe(j.before, j.after, func(string) bool { return false })
	if err != nil {
		return err
	}
	d.refresh(bump)
	downgrade := j.former != nil && j.former.classic == nil && d.mayTurnClassic()
	rebalance := d.group.assignmentEpoch < d.group.epoch
	if !downgrade {
		if err := d.retarget(); err != nil {
			return err
		}
	}
	m := j.after
	if !downgrade || !rebalance {
		if m, err = d.reconcile(m, changed, d.ownedIDs(said.OwnedPartitions)); err != nil {
			return err
		}
	}
	if downgrade {
		d.turnClassic(nil, d.group.String() != "Stable")
	} else {
		d.awaitSync(m)
	}
	resp := joinedConsumer(m, req.Version)
	d.finish(out, func(err error) []Reply {
		if err != nil {
			return []Reply{{To: to, Response: joinError(req.Version, "", err)}}
		}
		return []Reply{{To: to, Response: resp, Failed: joinError(req.Version, "", kerr.NotCoordinator)}}
	})
	return nil
}

// mayTurnClassic reports whether all members speak the classic protocol now, and
// the group may be a classic one.
func (d *draft) mayTurnClassic() bool {
	n := len(d.group.members)
	return d.group.classicMembers() == n && d.config.Consumer.Downgrade && n <= d.config.MaxSize
}

// awaitSync expects a member that joined to ask for its assignment.
func (d *draft) awaitSync(m *consumerMember) {
	session, rebalance, now := m.classic.sessionTimeout, m.rebalanceTimeout, d.now
	d.whenCounts(func(g *group) {
		w := g.watching(m.id)
		w.session, w.sync, w.join = now.Add(session), now.Add(rebalance), time.Time{}
	})
	if len(d.records) == 0 {
		d.whenCounts(func(g *group) { d.schedule(g) })
	}
}

// knowsOneOf reports whether a client with these protocols could be among the
// classic members: all of them know one.
func (g *consumerGroup) knowsOneOf(protocolType string, protocols []kmsg.JoinGroupRequestProtocol) bool {
	if protocolType != consumerProtocol {
		return false
	}
	for _, p := range protocols {
		all := true
		for _, m := range g.members {
			all = all && (m.classic == nil || m.classic.knows(p.Name))
		}
		if all {
			return true
		}
	}
	return false
}

func (m *classicMember) knows(protocol string) bool {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return true
		}
	}
	return false
}

func classicSays(before *consumerMember, req *kmsg.JoinGroupRequest, client Client, said *kmsg.ConsumerMemberMetadata) *consumerMember {
	m := before.clone()
	session := time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	m.client, m.topics, m.regex, m.rebalanceTimeout = client, sortedSet(said.Topics), "", session
	m.classic = &classicMember{sessionTimeout: session, protocols: req.Protocols}
	if req.Version >= 1 {
		m.rebalanceTimeout = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	if req.InstanceID != nil {
		m.instanceID = req.InstanceID
	}
	if said.Rack != nil {
		m.rackID = said.Rack
	}
	return m
}

// ownedIDs is what a classic member says it has, by topic id.
func (c *Coordinator) ownedIDs(owned []kmsg.ConsumerMemberMetadataOwnedPartition) []kmsg.ConsumerGroupHeartbeatRequestTopic {
	all := []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, o := range owned {
		if t, found := c.cluster.Topic(o.Topic); found {
			all = append(all, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.ID, Partitions: o.Partitions})
		}
	}
	return all
}

func joinedConsumer(m *consumerMember, version int16) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.SetVersion(version)
	protocol, protocolType := m.classic.protocols[0].Name, consumerProtocol
	resp.MemberID, resp.Generation, resp.Protocol, resp.ProtocolType = m.id, m.epoch, &protocol, &protocolType
	return resp
}

// classicMemberOf finds the classic member of a consumer group, at its epoch.
func (g *consumerGroup) classicMemberOf(id string, instanceID *string, generation int32) (*consumerMember, error) {
	m := g.members[id]
	if instanceID != nil {
		m = g.staticMember(*instanceID)
		if err := fenced(m, claim{id: id, instanceID: instanceID}); err != nil {
			return nil, err
		}
	}
	switch {
	case m == nil || m.classic == nil:
		return nil, kerr.UnknownMemberID
	case m.epoch != generation:
		return nil, kerr.IllegalGeneration
	}
	return m, nil
}

// syncConsumer serves SyncGroup of a consumer group.
func (c *Coordinator) syncConsumer(g *group, req *kmsg.SyncGroupRequest, now time.Time) (*kmsg.SyncGroupResponse, error) {
	m, err := g.consumer.classicMemberOf(req.MemberID, req.InstanceID, req.Generation)
	if err != nil {
		return nil, err
	}
	agreed := m.classic.protocols[0]
	if req.ProtocolType != nil && *req.ProtocolType != consumerProtocol || req.Protocol != nil && *req.Protocol != agreed.Name {
		return nil, kerr.InconsistentGroupProtocol
	}
	w := g.watching(m.id)
	if g.consumer.assignmentEpoch > m.epoch && m.state != memberUnrevoked {
		c.expectJoin(g, m, now)
		return nil, kerr.RebalanceInProgress
	}
	w.sync, w.session = time.Time{}, now.Add(m.classic.sessionTimeout)
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.SetVersion(req.Version)
	resp.Protocol, resp.ProtocolType = req.Protocol, req.ProtocolType
	resp.MemberAssignment = c.classicAssignment(m.assigned.only(), agreed.Metadata)
	return resp, nil
}

// expectJoin expects a classic member to join again within its rebalance time-out.
func (c *Coordinator) expectJoin(g *group, m *consumerMember, now time.Time) {
	if w := g.watching(m.id); w.join.IsZero() {
		w.join = now.Add(m.rebalanceTimeout)
		c.schedule(g)
	}
}

// beatConsumer serves Heartbeat of a consumer group: a member for which there is
// something to let go of or to get is told to join again.
func (c *Coordinator) beatConsumer(g *group, req *kmsg.HeartbeatRequest, now time.Time) error {
	m, err := g.consumer.classicMemberOf(req.MemberID, req.InstanceID, req.Generation)
	if err != nil {
		return err
	}
	g.watching(m.id).session = now.Add(m.classic.sessionTimeout)
	if m.epoch < g.consumer.assignmentEpoch || m.state == memberUnrevoked || m.state == memberUnreleased && !g.consumer.waits(m) {
		c.expectJoin(g, m, now)
		return kerr.RebalanceInProgress
	}
	return nil
}

// waits reports whether others still hold something that the member is to have.
func (g *consumerGroup) waits(m *consumerMember) bool {
	others := g.heldByOthers(m.id)
	for topic, list := range g.target[m.id] {
		for _, p := range list {
			if !m.assigned.has(topic, p) && others[topic][p] {
				return true
			}
		}
	}
	return false
}

// leavingConsumer finds a member that leaves a consumer group by LeaveGroup. A
// static one may be named by its instance id alone.
func (g *consumerGroup) leaving(l kmsg.LeaveGroupRequestMember) (*consumerMember, error) {
	m := g.members[l.MemberID]
	if l.InstanceID != nil {
		m = g.staticMember(*l.InstanceID)
		if l.MemberID != "" {
			if err := fenced(m, claim{id: l.MemberID, instanceID: l.InstanceID}); err != nil {
				return nil, err
			}
		}
	}
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// leaveAll serves LeaveGroup of a consumer group.
func (c *Coordinator) leaveAll(g *group, req *kmsg.LeaveGroupRequest, leaving []kmsg.LeaveGroupRequestMember, to Ticket, now time.Time, out *Output) {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	valid := map[string]*consumerMember{}
	for _, l := range leaving {
		m, err := g.consumer.leaving(l)
		if err == nil {
			valid[m.id] = m
		}
		resp.Members = append(resp.Members, leftMember(l, err))
	}
	if req.Version < 3 {
		resp.ErrorCode, resp.Members = resp.Members[0].ErrorCode, nil
	}
	d := c.draftOf(g.id, g.consumer, now)
	var members []*consumerMember
	for _, m := range inOrder(valid) {
		members = append(members, m)
	}
	if len(members) > 0 {
		d.fence(members)
	}
	d.finish(out, func(err error) []Reply {
		failed := req.ResponseKind().(*kmsg.LeaveGroupResponse)
		failed.ErrorCode = kerr.NotCoordinator.Code
		if err != nil {
			failed.ErrorCode = code(err)
			return []Reply{{To: to, Response: failed}}
		}
		return []Reply{{To: to, Response: resp, Failed: failed}}
	})
}

func leftMember(l kmsg.LeaveGroupRequestMember, err error) kmsg.LeaveGroupResponseMember {
	told := kmsg.NewLeaveGroupResponseMember()
	told.MemberID, told.InstanceID, told.ErrorCode = l.MemberID, l.InstanceID, code(err)
	return told
}

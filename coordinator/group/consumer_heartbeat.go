package group

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
	"github.com/klamm-io/klamm/protocol"
)

// Sees reports whether a client may know of a topic: of others its regular
// expressions do not find any.
type Sees func(topic string) bool

// ConsumerGroupHeartbeat is all that a member of a consumer group says: that it
// joins, what it subscribes to, what it has, that it is alive, that it leaves
// (KIP-848).
func (c *Coordinator) ConsumerGroupHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest, client Client, sees Sees, to Ticket, now time.Time) (out Output) {
	err := c.checkHeartbeat(req)
	if err == nil {
		if req.MemberEpoch == leaveEpoch || req.MemberEpoch == leaveStaticEpoch {
			err = c.leaveConsumer(req, to, now, &out)
		} else {
			h := &heartbeat{req: req, client: client, sees: sees}
			err = h.serve(c, to, now, &out)
		}
	}
	if err != nil {
		out.reply(to, heartbeatError(err))
	}
	return out
}

func heartbeatError(err error) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = code(err), protocol.ErrorMessage(err)
	return resp
}

// checkHeartbeat refuses what no member says.
func (c *Coordinator) checkHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest) error {
	invalid := func(what string) error { return fmt.Errorf("%s: %w", what, kerr.InvalidRequest) }
	blank := func(s string) bool { return strings.TrimSpace(s) == "" }
	tooLong := func(s string) bool { return len(s) > math.MaxInt16 }
	switch {
	case blank(req.MemberID) && (req.Version >= 1 || req.MemberEpoch > 0 || req.MemberEpoch == leaveEpoch):
		return invalid("the member id is empty")
	case blank(req.Group):
		return invalid("the group id is empty")
	case req.InstanceID != nil && blank(*req.InstanceID):
		return invalid("the instance id is empty")
	case req.RackID != nil && blank(*req.RackID):
		return invalid("the rack id is empty")
	case tooLong(req.Group), tooLong(req.MemberID), req.SubscribedTopicRegex != nil && tooLong(*req.SubscribedTopicRegex):
		return invalid("an id or a regular expression is longer than 32767 bytes")
	case req.MemberEpoch == leaveStaticEpoch && req.InstanceID == nil:
		return invalid("only a static member can leave for a while, and there is no instance id")
	case req.MemberEpoch < leaveStaticEpoch:
		return invalid(fmt.Sprintf("there is no member epoch %d", req.MemberEpoch))
	}
	if req.MemberEpoch == 0 {
		if err := checkJoining(req); err != nil {
			return err
		}
	}
	if a := req.ServerAssignor; a != nil && !slices.Contains(c.config.Consumer.Assignors, *a) {
		return fmt.Errorf("the assignor %q is none of %s: %w", *a, strings.Join(c.config.Consumer.Assignors, ", "), kerr.UnsupportedAssignor)
	}
	return nil
}

func checkJoining(req *kmsg.ConsumerGroupHeartbeatRequest) error {
	lacks := func(what string) error {
		return fmt.Errorf("a member that joins must give %s: %w", what, kerr.InvalidRequest)
	}
	switch {
	case req.RebalanceTimeoutMillis == -1:
		return lacks("a rebalance timeout")
	case req.Topics == nil || len(req.Topics) > 0:
		return lacks("an empty list of partitions")
	case req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
		return lacks("topics, or a regular expression")
	}
	return nil
}

// heartbeat is one heartbeat on its way.
type heartbeat struct {
	req    *kmsg.ConsumerGroupHeartbeatRequest
	client Client
	sees   Sees
}

func (h *heartbeat) serve(c *Coordinator, to Ticket, now time.Time, out *Output) error {
	req, joins := h.req, h.req.MemberEpoch == 0
	d, err := c.draftForMember(req.Group, joins, now, out)
	if err != nil {
		return err
	}
	if d.full(req.MemberID) {
		return fmt.Errorf("the group has %d members, as many as it may have: %w", len(d.group.members), kerr.GroupMaxSizeReached)
	}
	id := req.MemberID
	if id == "" {
		id = c.newID()
	}
	before, err := d.memberFor(claim{id: id, epoch: req.MemberEpoch, instanceID: req.InstanceID, joins: joins, owned: req.Topics})
	if err != nil {
		return err
	}
	said := h.says(before)
	after, err := d.advance(before, said, h.sees, req.Topics)
	if err != nil {
		return err
	}
	d.watch(after, d.settings().session, now)
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &after.id, after.epoch
	resp.HeartbeatIntervalMillis = int32(d.settings().heartbeat.Milliseconds())
	if joins || h.full() || !before.assigned.only().Equal(after.assigned.only()) {
		resp.Assignment = heartbeatAssignment(after.assigned.only())
	}
	d.finish(out, func(err error) []Reply {
		if err != nil {
			return []Reply{{To: to, Response: heartbeatError(err)}}
		}
		return []Reply{{To: to, Response: resp, Failed: heartbeatError(kerr.NotCoordinator)}}
	})
	return nil
}

// full reports whether the request says all that there is to say: then the answer
// does too.
func (h *heartbeat) full() bool {
	req := h.req
	return req.RebalanceTimeoutMillis != -1 && (req.SubscribedTopicNames != nil || req.SubscribedTopicRegex != nil) && req.Topics != nil
}

// says is the member with what the request says of it; what is null stays.
func (h *heartbeat) says(before *consumerMember) *consumerMember {
	req, m := h.req, before.clone()
	m.client, m.classic = h.client, nil
	if req.InstanceID != nil {
		m.instanceID = req.InstanceID
	}
	if req.RackID != nil {
		m.rackID = req.RackID
	}
	if req.RebalanceTimeoutMillis != -1 {
		m.rebalanceTimeout = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	if req.ServerAssignor != nil {
		m.assignor = req.ServerAssignor
	}
	if req.SubscribedTopicNames != nil {
		m.topics = sortedSet(req.SubscribedTopicNames)
	}
	if req.SubscribedTopicRegex != nil {
		m.regex = *req.SubscribedTopicRegex
	}
	return m
}

func sortedSet(names []string) []string {
	all := append([]string{}, names...)
	slices.Sort(all)
	return slices.Compact(all)
}

func heartbeatAssignment(p assign.Partitions) *kmsg.ConsumerGroupHeartbeatResponseAssignment {
	a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	for _, topic := range sortedTopics(p) {
		t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
		t.TopicID, t.Partitions = topic, p[topic]
		a.Topics = append(a.Topics, t)
	}
	return &a
}

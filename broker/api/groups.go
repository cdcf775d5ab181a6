package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/coordinator/shard"
	"github.com/klamm-io/klamm/security"
)

// The group APIs. What they do is the coordinator's; here is who may, and the
// join between a request and an answer that may come much later.

func clientOf(r *listener.Request) shard.Client {
	c := shard.Client{Host: "/" + r.Conn.Host()}
	if r.ClientID != nil {
		c.ID = *r.ClientID
	}
	return c
}

func (h *Handler) mayReadGroup(r *listener.Request, group string) bool {
	return h.allowed(r, security.Read, groupResource(group))
}

// mayWithGroup says why the client may not do op with a group.
func (h *Handler) mayWithGroup(r *listener.Request, op security.Operation) func(group *string) error {
	return func(group *string) error {
		return unless(h.allowed(r, op, groupResource(*group)), kerr.GroupAuthorizationFailed)
	}
}

// joinGroup answers JoinGroup (11), versions 0 to 9:
//
//	1  rebalance time-out           4  member ids come from the broker (KIP-394)
//	5  static members (KIP-345)     6  flexible
//	7  protocol type (KIP-559)      8  a reason (KIP-800)    9  skip assignment (KIP-814)
func (h *Handler) joinGroup(r *listener.Request, req *kmsg.JoinGroupRequest) {
	if !h.mayReadGroup(r, req.Group) {
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode, resp.Generation = kerr.GroupAuthorizationFailed.Code, -1
		r.ReplyMsg(resp)
		return
	}
	copyJoin(req)
	h.groups.JoinGroup(req, clientOf(r), func(resp *kmsg.JoinGroupResponse) { r.ReplyMsg(resp) })
	r.ReleaseBody()
}

// copyJoin gives the subscriptions memory of their own: the coordinator keeps
// them longer than the request's.
func copyJoin(req *kmsg.JoinGroupRequest) {
	for i := range req.Protocols {
		req.Protocols[i].Metadata = append([]byte(nil), req.Protocols[i].Metadata...)
	}
}

// syncGroup answers SyncGroup (14), versions 0 to 5:
//
//	3  static members    4  flexible    5  protocol type and name (KIP-559)
func (h *Handler) syncGroup(r *listener.Request, req *kmsg.SyncGroupRequest) {
	err := error(nil)
	switch {
	case req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		err = kerr.InconsistentGroupProtocol
	case !h.mayReadGroup(r, req.Group):
		err = kerr.GroupAuthorizationFailed
	}
	if err != nil {
		resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode = errorCode(err)
		r.ReplyMsg(resp)
		return
	}
	for i := range req.GroupAssignment {
		req.GroupAssignment[i].MemberAssignment = append([]byte(nil), req.GroupAssignment[i].MemberAssignment...)
	}
	h.groups.SyncGroup(req, clientOf(r), func(resp *kmsg.SyncGroupResponse) { r.ReplyMsg(resp) })
	r.ReleaseBody()
}

// heartbeat answers Heartbeat (12), versions 0 to 4:
//
//	3  static members    4  flexible
func (h *Handler) heartbeat(r *listener.Request, req *kmsg.HeartbeatRequest) {
	if !h.mayReadGroup(r, req.Group) {
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
		r.ReplyMsg(resp)
		return
	}
	h.groups.Heartbeat(req, clientOf(r), func(resp *kmsg.HeartbeatResponse) { r.ReplyMsg(resp) })
}

// leaveGroup answers LeaveGroup (13), versions 0 to 5:
//
//	3  several members at once (KIP-345)    4  flexible    5  a reason (KIP-800)
func (h *Handler) leaveGroup(r *listener.Request, req *kmsg.LeaveGroupRequest) {
	if !h.mayReadGroup(r, req.Group) {
		resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
		resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
		r.ReplyMsg(resp)
		return
	}
	h.groups.LeaveGroup(req, clientOf(r), func(resp *kmsg.LeaveGroupResponse) { r.ReplyMsg(resp) })
}

// newProtocol reports whether the cluster serves consumer groups of the new protocol.
func (h *Handler) newProtocol() bool { return h.image().Feature(controller.GroupVersion) > 0 }

// consumerGroupHeartbeat answers ConsumerGroupHeartbeat (68), versions 0 and 1
// (KIP-848):
//
//	1  regular expressions, member ids come from the client
func (h *Handler) consumerGroupHeartbeat(r *listener.Request, req *kmsg.ConsumerGroupHeartbeatRequest) {
	sees := func(topic string) bool { return h.may(r, security.Describe, topicResource(topic)) }
	err := error(nil)
	switch {
	case !h.newProtocol():
		err = kerr.UnsupportedVersion
	case !h.mayReadGroup(r, req.Group):
		err = kerr.GroupAuthorizationFailed
	case slices.ContainsFunc(req.SubscribedTopicNames, func(t string) bool { return !sees(t) }):
		err = kerr.TopicAuthorizationFailed
	}
	if err != nil {
		resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
		resp.ErrorCode = errorCode(err)
		r.ReplyMsg(resp)
		return
	}
	h.groups.ConsumerGroupHeartbeat(req, clientOf(r), sees, func(resp *kmsg.ConsumerGroupHeartbeatResponse) {
		resp.SetVersion(req.Version)
		r.ReplyMsg(resp)
	})
}

// consumerGroupDescribe answers ConsumerGroupDescribe (69), versions 0 and 1
// (KIP-848):
//
//	1  which protocol a member speaks
func (h *Handler) consumerGroupDescribe(r *listener.Request, req *kmsg.ConsumerGroupDescribeRequest) {
	refusal := func(group *string, err error) kmsg.ConsumerGroupDescribeResponseGroup {
		told := kmsg.NewConsumerGroupDescribeResponseGroup()
		told.Group, told.ErrorCode = *group, errorCode(err)
		return told
	}
	if !h.newProtocol() {
		resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
		resp.Groups = refuseAll(req.Groups, kerr.UnsupportedVersion, refusal)
		r.ReplyMsg(resp)
		return
	}
	var refused []kmsg.ConsumerGroupDescribeResponseGroup
	req.Groups, refused = permit(req.Groups, h.mayWithGroup(r, security.Describe), refusal)
	h.groups.ConsumerGroupDescribe(req, clientOf(r), func(resp *kmsg.ConsumerGroupDescribeResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			h.hideTopics(r, g)
			if g.ErrorCode == 0 {
				g.AuthorizedOperations = h.operations(r, req.IncludeAuthorizedOperations, groupResource(g.Group), groupOperations)
			}
		}
		resp.Groups = append(resp.Groups, refused...)
		r.ReplyMsg(resp)
	})
}

// hideTopics refuses a group that reads topics of which the client may not know.
func (h *Handler) hideTopics(r *listener.Request, g *kmsg.ConsumerGroupDescribeResponseGroup) {
	hidden := func(topic string) bool { return !h.may(r, security.Describe, topicResource(topic)) }
	hasHidden := func(a kmsg.Assignment) bool {
		return slices.ContainsFunc(a.TopicPartitions, func(t kmsg.AssignmentTopicPartition) bool { return hidden(t.Topic) })
	}
	for _, m := range g.Members {
		if slices.ContainsFunc(m.SubscribedTopics, hidden) || hasHidden(m.Assignment) || hasHidden(m.TargetAssignment) {
			told := kmsg.NewConsumerGroupDescribeResponseGroup()
			why := "the group reads topics that this client may not describe"
			told.Group, told.ErrorCode, told.ErrorMessage = g.Group, kerr.TopicAuthorizationFailed.Code, &why
			*g = told
			return
		}
	}
}

// describeGroups answers DescribeGroups (15), versions 0 to 6:
//
//	3  authorized operations    4  static members    5  flexible    6  error messages (KIP-1043)
func (h *Handler) describeGroups(r *listener.Request, req *kmsg.DescribeGroupsRequest) {
	var refused []kmsg.DescribeGroupsResponseGroup
	req.Groups, refused = permit(req.Groups, h.mayWithGroup(r, security.Describe), func(group *string, err error) kmsg.DescribeGroupsResponseGroup {
		told := kmsg.NewDescribeGroupsResponseGroup()
		told.Group, told.ErrorCode = *group, errorCode(err)
		return told
	})
	h.groups.DescribeGroups(req, clientOf(r), func(resp *kmsg.DescribeGroupsResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if g.ErrorCode == 0 {
				g.AuthorizedOperations = h.operations(r, req.IncludeAuthorizedOperations, groupResource(g.Group), groupOperations)
			}
		}
		resp.Groups = append(resp.Groups, refused...)
		r.ReplyMsg(resp)
	})
}

// listGroups answers ListGroups (16), versions 0 to 5:
//
//	3  flexible    4  filter by state (KIP-518)    5  filter by type (KIP-848)
func (h *Handler) listGroups(r *listener.Request, req *kmsg.ListGroupsRequest) {
	h.groups.ListGroups(req, clientOf(r), func(resp *kmsg.ListGroupsResponse) {
		if !h.may(r, security.Describe, security.ClusterResource) {
			visible := resp.Groups[:0]
			for _, g := range resp.Groups {
				if h.may(r, security.Describe, groupResource(g.Group)) {
					visible = append(visible, g)
				}
			}
			resp.Groups = visible
		}
		r.ReplyMsg(resp)
	})
}

// deleteGroups answers DeleteGroups (42), versions 0 to 2:
//
//	1  throttling    2  flexible
func (h *Handler) deleteGroups(r *listener.Request, req *kmsg.DeleteGroupsRequest) {
	var refused []kmsg.DeleteGroupsResponseGroup
	req.Groups, refused = permit(req.Groups, h.mayWithGroup(r, security.Delete), func(group *string, err error) kmsg.DeleteGroupsResponseGroup {
		told := kmsg.NewDeleteGroupsResponseGroup()
		told.Group, told.ErrorCode = *group, errorCode(err)
		return told
	})
	h.groups.DeleteGroups(req, clientOf(r), func(resp *kmsg.DeleteGroupsResponse) {
		resp.Groups = append(resp.Groups, refused...)
		r.ReplyMsg(resp)
	})
}

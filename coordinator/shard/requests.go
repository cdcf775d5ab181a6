package shard

import (
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/protocol"
)

// Each of the methods below serves one request. reply is called exactly once, at
// once or later, on any goroutine.

// ticketFor makes a reply function a ticket.
func ticketFor[R any](reply func(R)) deliver {
	return func(r any) { reply(r.(R)) }
}

// JoinGroup lets a client become a member. What req holds belongs to the
// coordinator from now on.
func (g *Groups) JoinGroup(req *kmsg.JoinGroupRequest, c Client, reply func(*kmsg.JoinGroupResponse)) {
	err := g.step(req.Group, func(gc *group.Coordinator) group.Output {
		return gc.JoinGroup(req, c, ticketFor(reply), time.Now())
	})
	if err != nil {
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode, resp.Generation, resp.MemberID = protocol.ErrorCode(err), -1, req.MemberID
		if req.Version < 7 {
			resp.Protocol = new(string)
		}
		reply(resp)
	}
}

// SyncGroup gives a member its assignment. What req holds belongs to the
// coordinator from now on.
func (g *Groups) SyncGroup(req *kmsg.SyncGroupRequest, _ Client, reply func(*kmsg.SyncGroupResponse)) {
	err := g.step(req.Group, func(gc *group.Coordinator) group.Output { return gc.SyncGroup(req, ticketFor(reply), time.Now()) })
	if err != nil {
		resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode, resp.MemberAssignment = protocol.ErrorCode(err), []byte{}
		reply(resp)
	}
}

// ConsumerGroupHeartbeat is all that a member of the new protocol says. Sees tells
// which topics its client may know of.
func (g *Groups) ConsumerGroupHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest, c Client, sees group.Sees, reply func(*kmsg.ConsumerGroupHeartbeatResponse)) {
	err := g.step(req.Group, func(gc *group.Coordinator) group.Output {
		return gc.ConsumerGroupHeartbeat(req, c, sees, ticketFor(reply), time.Now())
	})
	if err != nil {
		resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
		resp.ErrorCode, resp.ErrorMessage = protocol.ErrorCode(err), protocol.ErrorMessage(err)
		reply(resp)
	}
}

// ConsumerGroupDescribe tells what groups of the new protocol are doing.
func (g *Groups) ConsumerGroupDescribe(req *kmsg.ConsumerGroupDescribeRequest, _ Client, reply func(*kmsg.ConsumerGroupDescribeResponse)) {
	resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	for _, id := range req.Groups {
		told := kmsg.NewConsumerGroupDescribeResponseGroup()
		told.Group = id
		p, err := g.of(id)
		switch {
		case id == "":
			err = kerr.InvalidGroupID
		case err == nil:
			err = p.serving()
		}
		told.ErrorCode = protocol.ErrorCode(err)
		if err == nil {
			p.look(func(c *group.Coordinator) { told = c.ConsumerGroupDescribe(id) })
		}
		resp.Groups = append(resp.Groups, told)
	}
	reply(resp)
}

// Heartbeat keeps a member alive.
func (g *Groups) Heartbeat(req *kmsg.HeartbeatRequest, _ Client, reply func(*kmsg.HeartbeatResponse)) {
	err := g.step(req.Group, func(gc *group.Coordinator) group.Output { return gc.Heartbeat(req, ticketFor(reply), time.Now()) })
	if err != nil {
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = protocol.ErrorCode(err)
		reply(resp)
	}
}

// LeaveGroup removes members.
func (g *Groups) LeaveGroup(req *kmsg.LeaveGroupRequest, _ Client, reply func(*kmsg.LeaveGroupResponse)) {
	err := g.step(req.Group, func(gc *group.Coordinator) group.Output { return gc.LeaveGroup(req, ticketFor(reply), time.Now()) })
	if err != nil {
		resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
		resp.ErrorCode = protocol.ErrorCode(err)
		reply(resp)
	}
}

// OffsetCommit keeps offsets.
func (g *Groups) OffsetCommit(req *kmsg.OffsetCommitRequest, _ Client, reply func(*kmsg.OffsetCommitResponse)) {
	err := g.step(req.Group, func(gc *group.Coordinator) group.Output { return gc.OffsetCommit(req, ticketFor(reply), time.Now()) })
	if err == nil {
		return
	}
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range req.Topics {
		told := kmsg.NewOffsetCommitResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetCommitResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, protocol.ErrorCode(err)
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	reply(resp)
}

// OffsetDelete forgets offsets.
func (g *Groups) OffsetDelete(req *kmsg.OffsetDeleteRequest, _ Client, reply func(*kmsg.OffsetDeleteResponse)) {
	err := g.step(req.Group, func(gc *group.Coordinator) group.Output { return gc.OffsetDelete(req, ticketFor(reply)) })
	if err != nil {
		resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
		resp.ErrorCode = protocol.ErrorCode(err)
		reply(resp)
	}
}

// OffsetFetch tells what groups committed: of one group up to version 7, of
// several after.
func (g *Groups) OffsetFetch(req *kmsg.OffsetFetchRequest, _ Client, reply func(*kmsg.OffsetFetchResponse)) {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	var waits sync.WaitGroup
	asked := req.Groups
	if req.Version < 8 {
		asked = []kmsg.OffsetFetchRequestGroup{oneGroup(req)}
	}
	for _, a := range asked {
		told := kmsg.NewOffsetFetchResponseGroup()
		told.Group = a.Group
		p, err := g.of(a.Group)
		if err == nil {
			err = p.serving()
		}
		if err == nil {
			p.look(func(c *group.Coordinator) {
				switch err = c.MayFetch(a.Group, a.MemberID, a.MemberEpoch); {
				case err != nil:
				case req.RequireStable:
					told.Topics = c.StableOffsets(a.Group, a.Topics)
				default:
					told.Topics = c.Offsets(a.Group, a.Topics)
				}
			})
		}
		if err == nil {
			waits.Add(1)
			p.whenDurable(waits.Done)
		} else {
			told.ErrorCode, told.Topics = protocol.ErrorCode(err), refusedTopics(a.Topics, protocol.ErrorCode(err), req.Version)
		}
		resp.Groups = append(resp.Groups, told)
	}
	if req.Version < 8 {
		flatten(resp)
	}
	finish(&waits, func() { reply(resp) })
}

// finish calls reply once everything is committed, without holding up the
// caller.
func finish(waits *sync.WaitGroup, reply func()) {
	go func() {
		waits.Wait()
		reply()
	}()
}

// oneGroup is the form of version 8 for a request of an older one.
func oneGroup(req *kmsg.OffsetFetchRequest) kmsg.OffsetFetchRequestGroup {
	a := kmsg.OffsetFetchRequestGroup{Group: req.Group}
	if req.Topics != nil {
		a.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range req.Topics {
		a.Topics = append(a.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	return a
}

// refusedTopics is what old versions say of each partition; new ones say it of
// the group.
func refusedTopics(topics []kmsg.OffsetFetchRequestGroupTopic, code, version int16) []kmsg.OffsetFetchResponseGroupTopic {
	told := []kmsg.OffsetFetchResponseGroupTopic{}
	if version >= 2 {
		return told
	}
	for _, t := range topics {
		topic := kmsg.NewOffsetFetchResponseGroupTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			answer.Partition, answer.Offset, answer.ErrorCode, answer.Metadata = p, -1, code, new(string)
			topic.Partitions = append(topic.Partitions, answer)
		}
		told = append(told, topic)
	}
	return told
}

// flatten moves the only group's answer to where versions below 8 have it.
func flatten(resp *kmsg.OffsetFetchResponse) {
	g := resp.Groups[0]
	resp.Groups, resp.ErrorCode = nil, g.ErrorCode
	for _, t := range g.Topics {
		told := kmsg.NewOffsetFetchResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			told.Partitions = append(told.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			})
		}
		resp.Topics = append(resp.Topics, told)
	}
}

// ListGroups lists the groups of all partitions that are led here. One whose log
// cannot be read does not hide the groups of the others, as in Kafka.
func (g *Groups) ListGroups(req *kmsg.ListGroupsRequest, _ Client, reply func(*kmsg.ListGroupsResponse)) {
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	for _, p := range g.all() {
		if err := p.serving(); errors.Is(err, kerr.CoordinatorLoadInProgress) {
			resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
			continue
		} else if err != nil {
			continue
		}
		p.look(func(c *group.Coordinator) {
			resp.Groups = append(resp.Groups, c.List(req.StatesFilter, req.TypesFilter)...)
		})
	}
	reply(resp)
}

// DescribeGroups tells what groups are doing.
func (g *Groups) DescribeGroups(req *kmsg.DescribeGroupsRequest, _ Client, reply func(*kmsg.DescribeGroupsResponse)) {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.Groups {
		told := kmsg.NewDescribeGroupsResponseGroup()
		told.Group = id
		p, err := g.of(id)
		if err == nil {
			err = p.serving()
		}
		if err == nil && id == "" {
			err = kerr.InvalidGroupID
		}
		told.ErrorCode = protocol.ErrorCode(err)
		if err == nil {
			p.look(func(c *group.Coordinator) { told = c.Describe(id, req.Version) })
		}
		resp.Groups = append(resp.Groups, told)
	}
	reply(resp)
}

// DeleteGroups deletes groups that have no members, or none whose session is not over.
func (g *Groups) DeleteGroups(req *kmsg.DeleteGroupsRequest, _ Client, reply func(*kmsg.DeleteGroupsResponse)) {
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))
	var waits sync.WaitGroup
	for i, id := range req.Groups {
		waits.Add(1)
		ticket := deliver(func(r any) {
			resp.Groups[i] = r.(*kmsg.DeleteGroupsResponse).Groups[0]
			waits.Done()
		})
		err := g.step(id, func(c *group.Coordinator) group.Output { return c.Tick(time.Now()) })
		if err == nil {
			err = g.step(id, func(c *group.Coordinator) group.Output { return c.Delete(id, ticket) })
		}
		if err != nil {
			told := kmsg.NewDeleteGroupsResponseGroup()
			told.Group, told.ErrorCode = id, protocol.ErrorCode(err)
			resp.Groups[i] = told
			waits.Done()
		}
	}
	finish(&waits, func() { reply(resp) })
}

package group

import (
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// join reads client=a [member=a-1] [instance=i] [session=10s] [rebalance=30s]
// [type=consumer] [protocols=(range:t+u, sticky:t)] [v=9]. The part after the
// colon is the member's subscription.
func (a arguments) join() *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = int16(a.number("v", 9)), a.group(), a.text("member", ""), a.optional("instance")
	req.SessionTimeoutMillis = int32(a.duration("session", 10e9).Milliseconds())
	req.RebalanceTimeoutMillis = int32(a.duration("rebalance", 30e9).Milliseconds())
	req.ProtocolType = a.text("type", "consumer")
	protocols := a.list("protocols")
	if protocols == nil {
		protocols = []string{"range:t"}
	}
	for _, p := range protocols {
		name, topics, _ := strings.Cut(p, ":")
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: subscription(topics)})
	}
	return req
}

// subscription is what a consumer says of itself: topics joined by +. "junk"
// are bytes that are no subscription.
func subscription(topics string) []byte {
	if topics == "junk" {
		return []byte{0, 1, 0xff}
	}
	s := kmsg.ConsumerMemberMetadata{Version: 1, Topics: strings.Split(topics, "+")}
	return s.AppendTo(nil)
}

// consumerAssignment is one that consumers read: t:0+1. "junk" is none.
func consumerAssignment(text string) []byte {
	topic, list, _ := strings.Cut(text, ":")
	if topic == "junk" {
		return []byte{9}
	}
	var partitions []int32
	for _, one := range strings.Split(list, "+") {
		p, _ := strconv.Atoi(one)
		partitions = append(partitions, int32(p))
	}
	a := kmsg.ConsumerMemberAssignment{Topics: []kmsg.ConsumerMemberAssignmentTopic{{Topic: topic, Partitions: partitions}}}
	return a.AppendTo(nil)
}

// sync reads member=a-1 gen=1 [instance=i] [assign=(a-1:x, b-2:y)], or with real
// assignments of consumers assign=(a-1=t:0+1),
// [protocol=range] [type=consumer].
func (a arguments) sync() *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = int16(a.number("v", 5)), a.group(), a.text("member", ""), a.optional("instance")
	req.Generation, req.Protocol, req.ProtocolType = int32(a.number("gen", 0)), a.optional("protocol"), a.optional("type")
	for _, one := range a.list("assign") {
		if member, partitions, parsed := strings.Cut(one, "="); parsed {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: member, MemberAssignment: consumerAssignment(partitions)})
			continue
		}
		member, assignment, _ := strings.Cut(one, ":")
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: member, MemberAssignment: []byte(assignment)})
	}
	return req
}

// heartbeat reads member=a-1 gen=1 [instance=i].
func (a arguments) heartbeat() *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = 4, a.group(), a.text("member", ""), a.optional("instance")
	req.Generation = int32(a.number("gen", 0))
	return req
}

// leave reads members=(a-1, b-2@instance, @instance) [v=5]; up to version 2
// there is one.
func (a arguments) leave() *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group = int16(a.number("v", 5)), a.group()
	for _, one := range a.list("members") {
		member := kmsg.NewLeaveGroupRequestMember()
		id, instance, static := strings.Cut(one, "@")
		if member.MemberID = id; static {
			member.InstanceID = &instance
		}
		req.Members, req.MemberID = append(req.Members, member), id
	}
	return req
}

// commit reads [member=a-1] [gen=1] [instance=i] offsets=(t-0:5, t-1:6:note)
// [retention=1s] [v=9].
func (a arguments) commit() *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = int16(a.number("v", 9)), a.group(), a.text("member", ""), a.optional("instance")
	req.Generation, req.RetentionTimeMillis = int32(a.number("gen", -1)), -1
	if a.d.HasArg("retention") {
		req.RetentionTimeMillis = a.duration("retention", 0).Milliseconds()
	}
	for _, one := range a.list("offsets") {
		parts := strings.Split(one, ":")
		tp := a.partition(parts[0])
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.LeaderEpoch = tp.Partition, 7
		p.Offset, _ = strconv.ParseInt(parts[1], 10, 64)
		if len(parts) > 2 {
			p.Metadata = &parts[2]
		}
		req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: tp.Topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}})
	}
	return req
}

// deleteOffsets reads partitions=(t-0, t-1).
func (a arguments) deleteOffsets() *kmsg.OffsetDeleteRequest {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = a.group()
	for _, one := range a.list("partitions") {
		tp := a.partition(one)
		req.Topics = append(req.Topics, kmsg.OffsetDeleteRequestTopic{Topic: tp.Topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: tp.Partition}}})
	}
	return req
}

// topics reads [partitions=(t-0, t-1)]; without, it is all.
func (a arguments) topics() (topics []kmsg.OffsetFetchRequestGroupTopic) {
	for _, one := range a.list("partitions") {
		tp := a.partition(one)
		topics = append(topics, kmsg.OffsetFetchRequestGroupTopic{Topic: tp.Topic, Partitions: []int32{tp.Partition}})
	}
	return topics
}

package group

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
	"github.com/klamm-io/klamm/protocol"
)

func printHeartbeat(r *kmsg.ConsumerGroupHeartbeatResponse) string {
	if r.ErrorCode != 0 {
		return fmt.Sprintf("%s %q", printCode(r.ErrorCode), text(r.ErrorMessage))
	}
	line := fmt.Sprintf("member=%s epoch=%d every %dms", text(r.MemberID), r.MemberEpoch, r.HeartbeatIntervalMillis)
	if r.Assignment == nil {
		return line
	}
	p := assign.Partitions{}
	for _, t := range r.Assignment.Topics {
		p[t.TopicID] = t.Partitions
	}
	return line + " has " + printPartitions(p)
}

// printPartitions writes partitions as in t:0,1 u:3.
func printPartitions(p assign.Partitions) string {
	if len(p) == 0 {
		return "nothing"
	}
	var topics []string
	for _, id := range sortedTopics(p) {
		topics = append(topics, fakeName(id)+":"+strings.Trim(strings.ReplaceAll(fmt.Sprint(p[id]), " ", ","), "[]"))
	}
	return strings.Join(topics, " ")
}

// printHeld writes partitions with the epochs at which they were got.
func printHeld(h held) string {
	if len(h) == 0 {
		return "nothing"
	}
	var parts []string
	for _, id := range sortedTopics(h) {
		for _, p := range h.only()[id] {
			parts = append(parts, fmt.Sprintf("%s-%d@%d", fakeName(id), p, h[id][p]))
		}
	}
	return strings.Join(parts, ",")
}

func printConsumerGroup(g *kmsg.ConsumerGroupDescribeResponseGroup) string {
	if g.ErrorCode != 0 {
		return fmt.Sprintf("%s %q", printCode(g.ErrorCode), text(g.ErrorMessage))
	}
	line := fmt.Sprintf("%s epoch=%d assignment=%d %s", g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName)
	for _, m := range g.Members {
		kind := map[int8]string{0: "classic", 1: "consumer"}[m.MemberType]
		line += fmt.Sprintf("\n  %s %s epoch=%d of %s%s subscribes %s/%s has %s, is to have %s", instance(m.MemberID, m.InstanceID), kind, m.MemberEpoch,
			m.ClientID, m.ClientHost, strings.Join(m.SubscribedTopics, "+"), text(m.SubscribedTopicRegex), printAssignment(m.Assignment), printAssignment(m.TargetAssignment))
	}
	return line
}

func printAssignment(a kmsg.Assignment) string {
	p := assign.Partitions{}
	for _, t := range a.TopicPartitions {
		p[t.TopicID] = t.Partitions
	}
	return printPartitions(p)
}

// printConsumerRecord writes a record of a consumer group by applying it to an
// empty one.
func printConsumerRecord(r Record) string {
	read, err := readConsumerKey(r.Key)
	if err != nil {
		return err.Error()
	}
	name := map[int16]string{epochKey: "epoch", oldMetadataKey: "topics", memberKey: "member", targetEpochKey: "target epoch",
		targetKey: "target", currentKey: "current", regexKey: "regex"}[read.version]
	line := strings.TrimSpace(fmt.Sprintf("%s %s %s", name, read.group, read.of)) + " = "
	if r.Value == nil {
		return line + "null"
	}
	read.value = &valueReader{kbin.Reader{Src: r.Value[2:]}}
	apply := read.read()
	if err := read.value.Complete(); err != nil {
		return line + err.Error()
	}
	g := newConsumerGroup()
	apply(g)
	return line + printApplied(read.version, read.of, g)
}

func printApplied(version int16, of string, g *consumerGroup) string {
	switch m := g.members[of]; version {
	case epochKey:
		return fmt.Sprintf("%d hash %08x", g.epoch, uint32(g.metadataHash))
	case targetEpochKey:
		return fmt.Sprintf("%d", g.assignmentEpoch)
	case targetKey:
		return printPartitions(g.target[of])
	case regexKey:
		return strings.Join(g.regexes[of].topics, "+")
	case currentKey:
		line := fmt.Sprintf("epoch %d after %d has %s", m.epoch, m.previousEpoch, printHeld(m.assigned))
		if m.state == memberUnrevoked {
			line += " loses " + printHeld(m.revoking)
		}
		return line + [...]string{"", "", " waits"}[m.state]
	default:
		line := fmt.Sprintf("of %s%s in %v subscribes %s/%s", m.client.ID, m.client.Host, m.rebalanceTimeout, strings.Join(m.topics, "+"), m.regex)
		if m.instanceID != nil {
			line += " instance " + *m.instanceID
		}
		if m.assignor != nil {
			line += " by " + *m.assignor
		}
		if m.classic != nil {
			line += fmt.Sprintf(" classic %v", m.classic.sessionTimeout)
			for _, p := range m.classic.protocols {
				line += " " + p.Name
			}
		}
		return line
	}
}

// heartbeatRequest reads member=a epoch=0 [instance=i] [rack=r] [rebalance=30s]
// [topics=(t, u)] [regex=x.*] [assignor=range] [owns=(t-0, t-1)] [v=1]. One that
// joins owns nothing and has a rebalance time-out of 30 s, if it does not say
// otherwise; owns=() is an empty list.
func (a arguments) heartbeatRequest() *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = int16(a.number("v", 1)), a.group(), a.text("member", ""), int32(a.number("epoch", 0))
	req.InstanceID, req.RackID, req.SubscribedTopicRegex, req.ServerAssignor = a.optional("instance"), a.optional("rack"), a.optional("regex"), a.optional("assignor")
	if a.d.HasArg("topics") {
		req.SubscribedTopicNames = append([]string{}, a.list("topics")...)
	}
	joins := req.MemberEpoch == 0
	if joins || a.d.HasArg("rebalance") {
		req.RebalanceTimeoutMillis = int32(a.duration("rebalance", 30e9).Milliseconds())
	}
	if joins || a.d.HasArg("owns") {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	byTopic := map[protocol.TopicID][]int32{}
	for _, one := range a.list("owns") {
		tp := a.partition(one)
		byTopic[fakeID(tp.Topic)] = append(byTopic[fakeID(tp.Topic)], tp.Partition)
	}
	for _, id := range sortedTopics(byTopic) {
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: id, Partitions: byTopic[id]})
	}
	return req
}

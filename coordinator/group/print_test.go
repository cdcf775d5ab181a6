package group

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// printResponse writes a response in one line.
func printResponse(resp kmsg.Response) string {
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		return printJoined(r)
	case *kmsg.ConsumerGroupHeartbeatResponse:
		return printHeartbeat(r)
	case *kmsg.ConsumerGroupDescribeResponse:
		return printConsumerGroup(&r.Groups[0])
	case *kmsg.SyncGroupResponse:
		if r.ErrorCode != 0 {
			return printCode(r.ErrorCode)
		}
		return fmt.Sprintf("%s/%s assigns %s", text(r.ProtocolType), text(r.Protocol), printClassicAssignment(r.MemberAssignment))
	case *kmsg.HeartbeatResponse:
		return printCode(r.ErrorCode)
	case *kmsg.LeaveGroupResponse:
		return printLeft(r)
	case *kmsg.OffsetCommitResponse:
		return printCommitted(r)
	case *kmsg.OffsetDeleteResponse:
		return printDeleted(r)
	case *kmsg.DeleteGroupsResponse:
		return printCode(r.Groups[0].ErrorCode)
	case *kmsg.DescribeGroupsResponse:
		return printDescribed(&r.Groups[0])
	case *kmsg.ListGroupsResponse:
		return printListed(r)
	}
	return fmt.Sprintf("%+v", resp)
}

func printCode(code int16) string {
	if code == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(code).Message
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func printJoined(r *kmsg.JoinGroupResponse) string {
	if r.ErrorCode != 0 {
		return fmt.Sprintf("%s member=%s", printCode(r.ErrorCode), r.MemberID)
	}
	line := fmt.Sprintf("member=%s gen=%d %s/%s leader=%s", r.MemberID, r.Generation, text(r.ProtocolType), text(r.Protocol), r.LeaderID)
	if r.SkipAssignment {
		line += " skip-assignment"
	}
	if len(r.Members) > 0 {
		var members []string
		for _, m := range r.Members {
			members = append(members, instance(m.MemberID, m.InstanceID)+":"+printSubscription(m.ProtocolMetadata))
		}
		line += " members=(" + strings.Join(members, ", ") + ")"
	}
	return line
}

func instance(member string, id *string) string {
	if id == nil {
		return member
	}
	return member + "@" + *id
}

func printSubscription(metadata []byte) string {
	var s kmsg.ConsumerMemberMetadata
	if err := s.ReadFrom(metadata); err != nil {
		return fmt.Sprintf("%x", metadata)
	}
	return strings.Join(s.Topics, "+")
}

// printClassicAssignment writes an assignment of consumers as t:0,1, another one as
// it is.
func printClassicAssignment(raw []byte) string {
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(raw); err != nil {
		return fmt.Sprintf("%q", raw)
	}
	var topics []string
	for _, t := range a.Topics {
		topics = append(topics, t.Topic+":"+strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Partitions), " ", ","), "[]"))
	}
	return "(" + strings.Join(topics, " ") + ")"
}

func printLeft(r *kmsg.LeaveGroupResponse) string {
	line := printCode(r.ErrorCode)
	for _, m := range r.Members {
		line += fmt.Sprintf(" %s:%s", instance(m.MemberID, m.InstanceID), printCode(m.ErrorCode))
	}
	return line
}

func printCommitted(r *kmsg.OffsetCommitResponse) string {
	var parts []string
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			parts = append(parts, fmt.Sprintf("%s-%d:%s", t.Topic, p.Partition, printCode(p.ErrorCode)))
		}
	}
	return strings.Join(parts, " ")
}

func printDeleted(r *kmsg.OffsetDeleteResponse) string {
	line := printCode(r.ErrorCode)
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			line += fmt.Sprintf(" %s-%d:%s", t.Topic, p.Partition, printCode(p.ErrorCode))
		}
	}
	return line
}

func printDescribed(g *kmsg.DescribeGroupsResponseGroup) string {
	line := fmt.Sprintf("%s %s %q %q", printCode(g.ErrorCode), g.State, g.ProtocolType, g.Protocol)
	for _, m := range g.Members {
		line += fmt.Sprintf("\n  %s of %s%s subscribes %s assigned %s", instance(m.MemberID, m.InstanceID), m.ClientID, m.ClientHost,
			printSubscription(m.ProtocolMetadata), printClassicAssignment(m.MemberAssignment))
	}
	return line
}

func printListed(r *kmsg.ListGroupsResponse) string {
	lines := make([]string, 0, len(r.Groups))
	for _, g := range r.Groups {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", g.Group, g.GroupType, g.GroupState, g.ProtocolType))
	}
	if len(lines) == 0 {
		return "no groups"
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func printOffsets(topics []kmsg.OffsetFetchResponseGroupTopic) string {
	var b strings.Builder
	for _, t := range topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%s-%d: %d epoch %d %q\n", t.Topic, p.Partition, p.Offset, p.LeaderEpoch, text(p.Metadata))
		}
	}
	return b.String()
}

// printRecord writes a record of __consumer_offsets in one line.
func printRecord(r Record) string {
	switch version := binary.BigEndian.Uint16(r.Key); version {
	case 0, 1:
		return printOffsetRecord(r)
	case 2:
		return printGroupRecord(r)
	default:
		return printConsumerRecord(r)
	}
}

func printOffsetRecord(r Record) string {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(r.Key); err != nil {
		return err.Error()
	}
	line := fmt.Sprintf("offset %s %s-%d = ", k.Group, k.Topic, k.Partition)
	if r.Value == nil {
		return line + "null"
	}
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(r.Value); err != nil {
		return line + err.Error()
	}
	line += fmt.Sprintf("v%d %d epoch %d %q", v.Version, v.Offset, v.LeaderEpoch, v.Metadata)
	if v.Version == 1 {
		line += " for " + (time.Duration(v.ExpireTimestamp-v.CommitTimestamp) * time.Millisecond).String()
	}
	return line
}

func printGroupRecord(r Record) string {
	var k kmsg.GroupMetadataKey
	if err := k.ReadFrom(r.Key); err != nil {
		return err.Error()
	}
	if r.Value == nil {
		return "group " + k.Group + " = null"
	}
	var v kmsg.GroupMetadataValue
	if err := v.ReadFrom(r.Value); err != nil {
		return "group " + k.Group + " = " + err.Error()
	}
	line := fmt.Sprintf("group %s = v%d gen=%d %s/%s leader=%s", k.Group, v.Version, v.Generation, v.ProtocolType, text(v.Protocol), text(v.Leader))
	for _, m := range v.Members {
		line += fmt.Sprintf(" (%s %s assigned %s)", instance(m.MemberID, m.InstanceID), printSubscription(m.Subscription), printClassicAssignment(m.Assignment))
	}
	return line
}

package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// What a transcript does for itself, so that it says the same of a broker in this
// process and of a Kafka that goes on: it gives names to what only one broker says,
// waits for what Kafka does later, and cleans up.

// learn names what differs between two brokers: cluster, address, topic ids.
func (s *transcript) learn(t *testing.T) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	resp := s.ask(t, req).(*kmsg.MetadataResponse)
	s.names.give("ClusterID", *resp.ClusterID, "CLUSTER")
	s.names.give("Port", fmt.Sprint(resp.Brokers[0].Port), "PORT")
	for _, topic := range resp.Topics {
		s.names.give("TopicID", protocol.TopicID(topic.TopicID).String(), "id of "+*topic.Topic)
		if *kafka != "" {
			s.awaitLed(t, topic)
		}
	}
}

// awaitTopics waits until the broker knows the topics that were created: Kafka
// answers before it does.
func (s *transcript) awaitTopics(t *testing.T, req *kmsg.CreateTopicsRequest, created *kmsg.CreateTopicsResponse) {
	ask := kmsg.NewPtrMetadataRequest()
	ask.Version = 9
	ask.Topics = []kmsg.MetadataRequestTopic{}
	for _, topic := range created.Topics {
		if topic.ErrorCode == 0 && !req.ValidateOnly {
			ask.Topics = append(ask.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(topic.Topic)})
		}
	}
	for range 200 {
		if !slices.ContainsFunc(s.ask(t, ask).(*kmsg.MetadataResponse).Topics, func(m kmsg.MetadataResponseTopic) bool { return m.ErrorCode != 0 }) {
			return
		}
		time.Sleep(25 * time.Millisecond) // it is another process
	}
	t.Fatal("topics that were created are not there")
}

// awaitLed waits until the broker leads all of a topic's partitions: Kafka tells
// of a topic before it does.
func (s *transcript) awaitLed(t *testing.T, topic kmsg.MetadataResponseTopic) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 4
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = *topic.Topic
	for _, p := range topic.Partitions {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.Timestamp = p.Partition, -1
		asked.Partitions = append(asked.Partitions, one)
	}
	req.Topics = append(req.Topics, asked)
	for range 100 {
		if !slices.ContainsFunc(s.ask(t, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions,
			func(p kmsg.ListOffsetsResponseTopicPartition) bool { return p.ErrorCode != 0 }) {
			return
		}
		time.Sleep(50 * time.Millisecond) // it is another process
	}
	t.Fatalf("%s is not led", *topic.Topic)
}

func (s *transcript) ask(t *testing.T, req kmsg.Request) kmsg.Response {
	t.Helper()
	resp, err := s.conn.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// learnFrom names what an answer made known.
func (s *transcript) learnFrom(t *testing.T, req kmsg.Request, resp kmsg.Response) {
	switch resp := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		s.awaitTopics(t, req.(*kmsg.CreateTopicsRequest), resp)
		s.learn(t)
	case *kmsg.CreatePartitionsResponse, *kmsg.MetadataResponse:
		s.learn(t)
	case *kmsg.DescribeLogDirsResponse:
		for _, d := range resp.Dirs {
			s.names.give("Dir", d.Dir, "DIR")
		}
	case *kmsg.JoinGroupResponse:
		s.number("MemberID", resp.MemberID, "member", resp.ErrorCode == 0 || resp.ErrorCode == kerr.MemberIDRequired.Code)
	case *kmsg.FetchResponse:
		s.number("SessionID", fmt.Sprint(resp.SessionID), "session", resp.SessionID != 0)
	case *kmsg.InitProducerIDResponse:
		s.number("ProducerID", fmt.Sprint(resp.ProducerID), "producer", resp.ErrorCode == 0)
	}
}

// number calls a new value of a field after its kind: the first, the second and so
// on.
func (s *transcript) number(field, value, kind string, given bool) {
	if _, known := s.names.called[named{field, value}]; given && !known {
		s.counts[kind]++
		s.names.give(field, value, fmt.Sprintf("%s %d", kind, s.counts[kind]))
	}
}

// clear deletes what a transcript leaves in a Kafka that goes on.
func (s *transcript) clear(t *testing.T) {
	s.clearACLs(t)
	s.clearQuotas(t)
	s.clearUsers(t)
	all := kmsg.NewPtrMetadataRequest()
	all.Version = 9
	drop := kmsg.NewPtrDeleteTopicsRequest()
	drop.Version, drop.TimeoutMillis = 5, 10_000
	for _, topic := range s.ask(t, all).(*kmsg.MetadataResponse).Topics {
		if strings.HasPrefix(*topic.Topic, ours) {
			drop.TopicNames = append(drop.TopicNames, *topic.Topic)
		}
	}
	s.ask(t, drop)
	s.clearGroups(t)
	s.awaitGone(t, drop.TopicNames)
}

// clearACLs deletes every ACL: who runs a transcript must be allowed to.
func (s *transcript) clearACLs(t *testing.T) {
	all := kmsg.NewPtrDeleteACLsRequest()
	all.Version = 2
	every := kmsg.NewDeleteACLsRequestFilter()
	every.ResourceType, every.ResourcePatternType, every.Operation, every.PermissionType = 1, 1, 1, 1
	all.Filters = append(all.Filters, every)
	s.ask(t, all)
}

// clearQuotas takes back every quota.
func (s *transcript) clearQuotas(t *testing.T) {
	all, back := kmsg.NewPtrDescribeClientQuotasRequest(), kmsg.NewPtrAlterClientQuotasRequest()
	all.Version, back.Version = 1, 1
	for _, entry := range s.ask(t, all).(*kmsg.DescribeClientQuotasResponse).Entries {
		gone := kmsg.NewAlterClientQuotasRequestEntry()
		for _, e := range entry.Entity {
			gone.Entity = append(gone.Entity, kmsg.AlterClientQuotasRequestEntryEntity{Type: e.Type, Name: e.Name})
		}
		for _, v := range entry.Values {
			gone.Ops = append(gone.Ops, kmsg.AlterClientQuotasRequestEntryOp{Key: v.Key, Remove: true})
		}
		back.Entries = append(back.Entries, gone)
	}
	s.ask(t, back)
}

// clearUsers deletes the credentials of every user.
func (s *transcript) clearUsers(t *testing.T) {
	drop := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, user := range s.ask(t, kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()).(*kmsg.DescribeUserSCRAMCredentialsResponse).Results {
		for _, c := range user.CredentialInfos {
			gone := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
			gone.Name, gone.Mechanism = user.User, c.Mechanism
			drop.Deletions = append(drop.Deletions, gone)
		}
	}
	s.ask(t, drop)
}

// clearGroups takes the members out of our groups, and deletes them.
func (s *transcript) clearGroups(t *testing.T) {
	list := kmsg.NewPtrListGroupsRequest()
	list.Version = 4
	forget := kmsg.NewPtrDeleteGroupsRequest()
	forget.Version = 2
	for _, group := range s.ask(t, list).(*kmsg.ListGroupsResponse).Groups {
		if group.Group == "" || strings.HasPrefix(group.Group, ours) {
			s.empty(t, group.Group)
			forget.Groups = append(forget.Groups, group.Group)
		}
	}
	s.ask(t, forget)
}

func (s *transcript) empty(t *testing.T, group string) {
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Version, describe.Groups = 5, []string{group}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Version, leave.Group = 5, group
	for _, member := range s.ask(t, describe).(*kmsg.DescribeGroupsResponse).Groups[0].Members {
		leave.Members = append(leave.Members, kmsg.LeaveGroupRequestMember{MemberID: member.MemberID, InstanceID: member.InstanceID})
	}
	s.ask(t, leave)
}

func (s *transcript) awaitGone(t *testing.T, topics []string) {
	for range 100 {
		all := kmsg.NewPtrMetadataRequest()
		all.Version = 9
		if !slices.ContainsFunc(s.ask(t, all).(*kmsg.MetadataResponse).Topics, func(m kmsg.MetadataResponseTopic) bool {
			return slices.Contains(topics, *m.Topic)
		}) {
			return
		}
		time.Sleep(50 * time.Millisecond) // it is another process
	}
	t.Fatalf("%v are still there", topics)
}

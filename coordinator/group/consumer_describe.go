package group

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
	"github.com/klamm-io/klamm/protocol"
)

// ConsumerGroupDescribe tells what a consumer group is doing.
func (c *Coordinator) ConsumerGroupDescribe(id string) kmsg.ConsumerGroupDescribeResponseGroup {
	told := kmsg.NewConsumerGroupDescribeResponseGroup()
	told.Group = id
	of, err := c.consumerGroupNamed(id)
	if err != nil {
		told.ErrorCode, told.ErrorMessage = code(err), protocol.ErrorMessage(err)
		return told
	}
	told.State, told.Epoch, told.AssignmentEpoch = of.String(), of.epoch, of.assignmentEpoch
	told.AssignorName = of.preferred(c.config.Consumer.Assignors[0])
	for _, m := range of.sorted() {
		told.Members = append(told.Members, c.describeMember(of, m))
	}
	return told
}

func (c *Coordinator) consumerGroupNamed(id string) (*consumerGroup, error) {
	switch g := c.groups[id]; {
	case g == nil:
		return nil, fmt.Errorf("Group %s not found.: %w", id, kerr.GroupIDNotFound)
	case g.consumer == nil:
		return nil, fmt.Errorf("Group %s is not a consumer group: %w", id, kerr.GroupIDNotFound)
	default:
		return g.consumer, nil
	}
}

func (c *Coordinator) describeMember(g *consumerGroup, m *consumerMember) kmsg.ConsumerGroupDescribeResponseGroupMember {
	told := kmsg.NewConsumerGroupDescribeResponseGroupMember()
	told.MemberID, told.InstanceID, told.RackID, told.MemberEpoch = m.id, m.instanceID, m.rackID, m.epoch
	told.ClientID, told.ClientHost = m.client.ID, m.client.Host
	told.SubscribedTopics, told.SubscribedTopicRegex = m.topics, &m.regex
	told.Assignment, told.TargetAssignment = c.describePartitions(m.holds()), c.describePartitions(g.target[m.id])
	if told.MemberType = 1; m.classic != nil {
		told.MemberType = 0
	}
	return told
}

func (c *Coordinator) describePartitions(p assign.Partitions) kmsg.Assignment {
	var a kmsg.Assignment
	for _, id := range sortedTopics(p) {
		if t, found := c.cluster.TopicByID(id); found {
			a.TopicPartitions = append(a.TopicPartitions, kmsg.AssignmentTopicPartition{TopicID: id, Topic: t.Name, Partitions: p[id]})
		}
	}
	return a
}

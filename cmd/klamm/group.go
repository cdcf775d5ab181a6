package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newGroupCommand(env *environment) *cobra.Command {
	return parentCommand("group", "List, describe, reset and delete consumer groups",
		newGroupListCommand(env),
		newGroupDescribeCommand(env),
		newGroupResetCommand(env),
		newGroupDeleteCommand(env),
	)
}

// states of groups that have no members: only then can offsets be reset.
const (
	stateEmpty = "Empty"
	stateDead  = "Dead" // there is no such group
)

// groupView is a group as its coordinator sees it, by whichever protocol its
// members speak.
type groupView struct {
	group       string
	kind        string // classic or consumer
	state       string
	protocol    string // how partitions are assigned
	coordinator kadm.BrokerDetail
	members     []memberView
	// Of a group of the new protocol; 0 for a classic one.
	epoch, assignmentEpoch int32
}

// memberView is one member and the partitions that it reads.
type memberView struct {
	id, instance, client, host string
	partitions                 kadm.TopicsSet
	// Of a member of a group of the new protocol.
	epoch  int32
	target kadm.TopicsSet // what it is to have
}

// viewGroup asks for a group. A group of the new protocol (KIP-848) is not
// found by the question for classic ones, so that is asked first, then the
// other. One that does not exist has the state Dead.
func viewGroup(ctx context.Context, admin *kadm.Client, name string) (groupView, error) {
	classic, err := admin.DescribeGroups(ctx, name)
	if err != nil {
		return groupView{}, fmt.Errorf("describe group %s: %s", name, reason(err, ""))
	}
	g := classic[name]
	if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
		return groupView{}, fmt.Errorf("describe group %s: %s", name, reason(g.Err, g.ErrMessage))
	}
	if g.State != stateDead && g.Err == nil {
		return classicView(g), nil
	}
	view := groupView{group: name, state: stateDead, coordinator: g.Coordinator}
	// Clusters before Kafka 4 do not know this question: then there is no such
	// group either.
	consumer, err := admin.DescribeConsumerGroups(ctx, name)
	if found := consumer[name]; err == nil && found.Err == nil && found.State != "" && found.State != stateDead {
		view = consumerView(found)
	}
	return view, nil
}

func classicView(g kadm.DescribedGroup) groupView {
	view := groupView{group: g.Group, kind: "classic", state: g.State, protocol: g.Protocol, coordinator: g.Coordinator}
	for _, m := range g.Members {
		member := memberView{id: m.MemberID, instance: orBlank(m.InstanceID), client: m.ClientID, host: m.ClientHost, partitions: kadm.TopicsSet{}}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				member.partitions.Add(t.Topic, t.Partitions...)
			}
		}
		view.members = append(view.members, member)
	}
	return view
}

func consumerView(g kadm.DescribedConsumerGroup) groupView {
	view := groupView{
		group: g.Group, kind: "consumer", state: g.State, protocol: g.AssignorName, coordinator: g.Coordinator,
		epoch: g.Epoch, assignmentEpoch: g.AssignmentEpoch,
	}
	for _, m := range g.Members {
		view.members = append(view.members, memberView{
			id: m.MemberID, instance: orBlank(m.InstanceID), client: m.ClientID, host: m.ClientHost, partitions: m.Assignment,
			epoch: m.MemberEpoch, target: m.TargetAssignment,
		})
	}
	return view
}

func orBlank(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// committedOffsets are the group's, by partition.
func committedOffsets(ctx context.Context, admin *kadm.Client, group string) (map[topicPartition]int64, error) {
	fetched, err := admin.FetchOffsets(ctx, group)
	if err == nil {
		err = fetched.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("fetch offsets of group %s: %s", group, reason(err, ""))
	}
	offsets := map[topicPartition]int64{}
	fetched.Each(func(o kadm.OffsetResponse) {
		if o.At >= 0 {
			offsets[topicPartition{Topic: o.Topic, Partition: o.Partition}] = o.At
		}
	})
	return offsets, nil
}

// unknownGroup says that a group does not exist, and what may have been meant.
func unknownGroup(ctx context.Context, admin *kadm.Client, group string) error {
	names, err := groupNames(ctx, admin)
	if err != nil {
		names = nil
	}
	return fmt.Errorf("group %s does not exist.%s See `klamm group list`", group, didYouMean(group, names))
}

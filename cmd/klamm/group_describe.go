package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// describedGroup is one group of `klamm group describe`.
type describedGroup struct {
	Group       string           `json:"group"`
	Type        string           `json:"type"` // classic or consumer
	State       string           `json:"state"`
	Protocol    string           `json:"protocol"`
	Coordinator int32            `json:"coordinator"`
	MemberCount int              `json:"member_count"`
	TotalLag    int64            `json:"total_lag"`
	Partitions  []groupPartition `json:"partitions"`
	// Of a group of the new protocol: its epoch, that for which the target was made,
	// and how far each member is on its way there.
	Epoch           int32         `json:"epoch,omitempty"`
	AssignmentEpoch int32         `json:"assignment_epoch,omitempty"`
	Members         []groupMember `json:"members,omitempty"`
}

// groupMember is a member of a group of the new protocol.
type groupMember struct {
	ConsumerID string `json:"consumer_id"`
	InstanceID string `json:"instance_id"`
	Epoch      int32  `json:"epoch"`
	Assigned   string `json:"assigned"`
	Target     string `json:"target"`
}

// groupPartition is a partition that the group has an offset for or reads. A
// member without partitions has a row with neither topic nor partition.
type groupPartition struct {
	Topic         string `json:"topic"`
	Partition     *int64 `json:"partition"`
	CurrentOffset *int64 `json:"current_offset"` // null: none is committed
	LogEndOffset  *int64 `json:"log_end_offset"` // null: not known
	Lag           *int64 `json:"lag"`            // null where one of these is
	ConsumerID    string `json:"consumer_id"`
	InstanceID    string `json:"instance_id"`
	Host          string `json:"host"`
	ClientID      string `json:"client_id"`
}

func newGroupDescribeCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "describe GROUP…",
		Short:             "Show the offsets, lag and members of groups",
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeGroups(-1),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			groups := []describedGroup{}
			for _, name := range names {
				group, err := describeGroup(cmd.Context(), admin, name)
				if err != nil {
					return err
				}
				groups = append(groups, group)
			}
			if *output == "table" {
				return env.showGroups(groups)
			}
			return env.show(*output, nil, groups)
		})
	}
	return cmd
}

func describeGroup(ctx context.Context, admin *kadm.Client, name string) (describedGroup, error) {
	view, err := viewGroup(ctx, admin, name)
	if err != nil {
		return describedGroup{}, err
	}
	if view.state == stateDead {
		return describedGroup{}, unknownGroup(ctx, admin, name)
	}
	committed, err := committedOffsets(ctx, admin, name)
	if err != nil {
		return describedGroup{}, err
	}
	topics := topicsOf(view, committed)
	var ends kadm.ListedOffsets
	if len(topics) > 0 { // none would mean all
		// Topics that were deleted have no end: that shows as unknown.
		ends, _ = admin.ListEndOffsets(ctx, topics...)
	}
	return lagOf(view, committed, ends), nil
}

// topicsOf are all topics that the group has to do with.
func topicsOf(view groupView, committed map[topicPartition]int64) []string {
	topics := map[string]bool{}
	for tp := range committed {
		topics[tp.Topic] = true
	}
	for _, m := range view.members {
		for topic := range m.partitions {
			topics[topic] = true
		}
	}
	return slices.Sorted(maps.Keys(topics))
}

// lagOf puts together who reads what, and how far each is behind.
func lagOf(view groupView, committed map[topicPartition]int64, ends kadm.ListedOffsets) describedGroup {
	group := describedGroup{
		Group: view.group, Type: view.kind, State: view.state, Epoch: view.epoch, AssignmentEpoch: view.assignmentEpoch, Protocol: view.protocol,
		Coordinator: view.coordinator.NodeID, MemberCount: len(view.members), Partitions: []groupPartition{},
	}
	if view.kind == "consumer" {
		for _, m := range view.members {
			group.Members = append(group.Members, groupMember{m.id, m.instance, m.epoch, partitionsText(m.partitions), partitionsText(m.target)})
		}
	}
	readers := map[topicPartition]memberView{}
	for tp := range committed {
		readers[tp] = memberView{}
	}
	var idle []memberView
	for _, m := range view.members {
		if len(m.partitions) == 0 {
			idle = append(idle, m)
		}
		m.partitions.Each(func(topic string, partition int32) {
			readers[topicPartition{Topic: topic, Partition: partition}] = m
		})
	}
	for _, tp := range slices.SortedFunc(maps.Keys(readers), comparePartitions) {
		row := newGroupPartition(tp, readers[tp], committed, ends)
		if row.Lag != nil {
			group.TotalLag += *row.Lag
		}
		group.Partitions = append(group.Partitions, row)
	}
	for _, m := range idle {
		group.Partitions = append(group.Partitions, groupPartition{ConsumerID: m.id, InstanceID: m.instance, Host: m.host, ClientID: m.client})
	}
	return group
}

func comparePartitions(a, b topicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func newGroupPartition(tp topicPartition, m memberView, committed map[topicPartition]int64, ends kadm.ListedOffsets) groupPartition {
	number := int64(tp.Partition)
	row := groupPartition{Topic: tp.Topic, Partition: &number, ConsumerID: m.id, InstanceID: m.instance, Host: m.host, ClientID: m.client}
	if offset, found := committed[tp]; found {
		row.CurrentOffset = &offset
	}
	if end, found := ends.Lookup(tp.Topic, tp.Partition); found && end.Err == nil {
		row.LogEndOffset = &end.Offset
	}
	if row.CurrentOffset != nil && row.LogEndOffset != nil {
		lag := max(0, *row.LogEndOffset-*row.CurrentOffset)
		row.Lag = &lag
	}
	return row
}

// showGroups prints a line for each group and a table of its partitions.
func (e *environment) showGroups(groups []describedGroup) error {
	for i, g := range groups {
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		fmt.Fprintf(e.out, "GROUP %s  TYPE %s  STATE %s  PROTOCOL %s  COORDINATOR %d  MEMBERS %d  TOTAL-LAG %d\n",
			g.Group, g.Type, g.State, cellText(g.Protocol), g.Coordinator, g.MemberCount, g.TotalLag)
		t := newTable("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID")
		for _, p := range g.Partitions {
			t.add(p.Topic, p.Partition, p.CurrentOffset, p.LogEndOffset, p.Lag, p.ConsumerID, p.Host, p.ClientID)
		}
		if err := t.write(e.out); err != nil {
			return err
		}
		if err := e.showMembers(g); err != nil {
			return err
		}
	}
	return nil
}

// showMembers prints where the members of a group of the new protocol are, and
// where they are led.
func (e *environment) showMembers(g describedGroup) error {
	if g.Type != "consumer" {
		return nil
	}
	fmt.Fprintf(e.out, "EPOCH %d  ASSIGNMENT-EPOCH %d\n", g.Epoch, g.AssignmentEpoch)
	t := newTable("CONSUMER-ID", "INSTANCE-ID", "EPOCH", "ASSIGNED", "TARGET")
	for _, m := range g.Members {
		t.add(m.ConsumerID, m.InstanceID, m.Epoch, m.Assigned, m.Target)
	}
	return t.write(e.out)
}

// partitionsText writes partitions as in flights:0,1 planes:3.
func partitionsText(of kadm.TopicsSet) string {
	var topics []string
	for _, t := range of.Sorted() {
		topics = append(topics, t.Topic+":"+joinInts(t.Partitions))
	}
	return strings.Join(topics, " ")
}

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/klamm-io/klamm/protocol"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// describedTopic is one topic of `klamm topic describe`.
type describedTopic struct {
	listedTopic
	Configs    []describedConfig    `json:"configs"` // those that are not the defaults
	Partitions []describedPartition `json:"partitions"`
}

// describedPartition is one partition of it. Offsets are null where the
// partition has no leader to ask.
type describedPartition struct {
	Partition       int32   `json:"partition"`
	Leader          int32   `json:"leader"`
	LeaderEpoch     int32   `json:"leader_epoch"`
	Replicas        []int32 `json:"replicas"`
	ISR             []int32 `json:"isr"`
	OfflineReplicas []int32 `json:"offline_replicas"`
	LogStartOffset  *int64  `json:"log_start_offset"`
	LogEndOffset    *int64  `json:"log_end_offset"`
}

func newTopicDescribeCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "describe TOPIC…",
		Short:             "Show the partitions, offsets and configs of topics",
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeTopics(-1),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			topics, err := describeTopicsFully(cmd.Context(), admin, names)
			if err != nil {
				return err
			}
			if *output == "table" {
				return env.showTopics(topics)
			}
			return env.show(*output, nil, topics)
		})
	}
	return cmd
}

// describeTopicsFully puts together what the cluster tells by four questions.
func describeTopicsFully(ctx context.Context, admin *kadm.Client, names []string) ([]describedTopic, error) {
	details, err := describeTopics(ctx, admin, names...)
	if err != nil {
		return nil, err
	}
	// A partition without a leader fails in these two; its offsets are null.
	starts, _ := admin.ListStartOffsets(ctx, names...)
	ends, _ := admin.ListEndOffsets(ctx, names...)
	configs, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe configs: %s", reason(err, ""))
	}
	var topics []describedTopic
	for _, topic := range details.Sorted() {
		described := describedTopic{
			listedTopic: listedTopic{topic.Topic, protocol.TopicID(topic.ID).String(), len(topic.Partitions), topic.Partitions.NumReplicas(), topic.IsInternal},
			Configs:     []describedConfig{},
		}
		for _, p := range topic.Partitions.Sorted() {
			described.Partitions = append(described.Partitions, describedPartition{
				Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch,
				Replicas: orEmpty(p.Replicas), ISR: orEmpty(p.ISR), OfflineReplicas: orEmpty(p.OfflineReplicas),
				LogStartOffset: listedOffset(starts, p), LogEndOffset: listedOffset(ends, p),
			})
		}
		if found, err := configs.On(topic.Topic, nil); err == nil {
			described.Configs = chosenConfigs(found.Configs)
		}
		topics = append(topics, described)
	}
	return topics, nil
}

// orEmpty makes a list that JSON shows as [] and not as null.
func orEmpty(list []int32) []int32 { return append([]int32{}, list...) }

func listedOffset(offsets kadm.ListedOffsets, p kadm.PartitionDetail) *int64 {
	found, ok := offsets.Lookup(p.Topic, p.Partition)
	if !ok || found.Err != nil {
		return nil
	}
	return &found.Offset
}

// showTopics prints a line for each topic and a table of its partitions.
func (e *environment) showTopics(topics []describedTopic) error {
	for i, topic := range topics {
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		fmt.Fprintf(e.out, "TOPIC %s  TOPIC-ID %s  PARTITION-COUNT %d  REPLICATION-FACTOR %d  CONFIGS %s\n",
			topic.Topic, topic.TopicID, topic.PartitionCount, topic.ReplicationFactor, cellText(configList(topic.Configs)))
		t := newTable("PARTITION", "LEADER", "LEADER-EPOCH", "REPLICAS", "ISR", "LOG-START-OFFSET", "LOG-END-OFFSET")
		for _, p := range topic.Partitions {
			t.add(p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, p.LogStartOffset, p.LogEndOffset)
		}
		if err := t.write(e.out); err != nil {
			return err
		}
	}
	return nil
}

// configList is the configs in one line, as Kafka's own listing has them.
func configList(configs []describedConfig) string {
	pairs := make([]string, len(configs))
	for i, c := range configs {
		pairs[i] = c.Name + "=" + c.text()
	}
	return strings.Join(pairs, ",")
}

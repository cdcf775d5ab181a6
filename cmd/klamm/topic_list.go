package main

import (
	"context"
	"fmt"

	"github.com/klamm-io/klamm/protocol"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// listedTopic is one topic of `klamm topic list`.
type listedTopic struct {
	Topic             string `json:"topic"`
	TopicID           string `json:"topic_id"`
	PartitionCount    int    `json:"partition_count"`
	ReplicationFactor int    `json:"replication_factor"`
	Internal          bool   `json:"internal"`
}

func newTopicListCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List topics",
		Args:  arguments(0, 0),
	}
	internal := cmd.Flags().Bool("internal", false, "list the cluster's own topics too")
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			topics, err := listTopics(cmd.Context(), admin, *internal)
			if err != nil {
				return err
			}
			return env.show(*output, topicTable(topics), topics)
		})
	}
	return cmd
}

func listTopics(ctx context.Context, admin *kadm.Client, internal bool) ([]listedTopic, error) {
	details, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %s", reason(err, ""))
	}
	topics := []listedTopic{}
	for _, topic := range details.Sorted() {
		if topic.IsInternal && !internal {
			continue
		}
		topics = append(topics, listedTopic{
			Topic:             topic.Topic,
			TopicID:           protocol.TopicID(topic.ID).String(),
			PartitionCount:    len(topic.Partitions),
			ReplicationFactor: topic.Partitions.NumReplicas(),
			Internal:          topic.IsInternal,
		})
	}
	return topics, nil
}

func topicTable(topics []listedTopic) *table {
	t := newTable("TOPIC", "PARTITION-COUNT", "REPLICATION-FACTOR", "TOPIC-ID")
	for _, topic := range topics {
		t.add(topic.Topic, topic.PartitionCount, topic.ReplicationFactor, topic.TopicID)
	}
	return t
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

func saramaAdmin(_ context.Context, j job) error {
	cl, err := sarama.NewClient([]string{j.bootstrap}, saramaConfig())
	if err != nil {
		return err
	}
	adm, err := sarama.NewClusterAdminFromClient(cl)
	if err != nil {
		return err
	}
	defer adm.Close()
	if err := saramaAdminTopics(adm, j.topic); err != nil {
		return err
	}
	return saramaAdminGroups(cl, adm, j.topic, j.topic+"-kept")
}

func saramaAdminTopics(adm sarama.ClusterAdmin, topic string) error {
	hour, hours := "3600000", "7200000"
	detail := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &hour}}
	if err := adm.CreateTopic(topic, detail, false); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	described, err := adm.DescribeTopics([]string{topic})
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	answer("created %d", len(described[0].Partitions))
	var refused *sarama.TopicError
	if err := adm.CreateTopic(topic, detail, false); !errors.As(err, &refused) {
		return fmt.Errorf("create again: %w", err)
	}
	answer("again %d", refused.Err)
	if err := adm.CreatePartitions(topic, 4, nil, false); err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	if described, err = adm.DescribeTopics([]string{topic}); err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	answer("grown to %d", len(described[0].Partitions))
	for range 2 {
		entries, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
		if err != nil {
			return fmt.Errorf("describe configs: %w", err)
		}
		answer("retention.ms %s", entries[0].Value)
		set := map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &hours}}
		if err := adm.IncrementalAlterConfig(sarama.TopicResource, topic, set, false); err != nil {
			return fmt.Errorf("alter configs: %w", err)
		}
	}
	return nil
}

func saramaAdminGroups(cl sarama.Client, adm sarama.ClusterAdmin, topic, kept string) error {
	if err := adm.DeleteRecords(kept, map[int32]int64{0: 5}); err != nil {
		return fmt.Errorf("delete records: %w", err)
	}
	first, err := cl.GetOffset(kept, 0, sarama.OffsetOldest)
	if err != nil {
		return fmt.Errorf("list offsets: %w", err)
	}
	end, err := cl.GetOffset(kept, 0, sarama.OffsetNewest)
	if err != nil {
		return fmt.Errorf("list offsets: %w", err)
	}
	answer("kept %d to %d", first, end)
	groups, err := adm.DescribeConsumerGroups([]string{topic})
	if err != nil {
		return fmt.Errorf("describe groups: %w", err)
	}
	committed, err := adm.ListConsumerGroupOffsets(topic, nil)
	if err != nil {
		return fmt.Errorf("fetch offsets: %w", err)
	}
	answer("group %s at %d", groups[0].State, committed.GetBlock(kept, 0).Offset)
	at := map[string]map[int32]sarama.OffsetAndMetadata{kept: {0: {Offset: 7, LeaderEpoch: -1}}}
	if _, err := adm.AlterConsumerGroupOffsets(topic, at, nil); err != nil {
		return fmt.Errorf("set offsets: %w", err)
	}
	if committed, err = adm.ListConsumerGroupOffsets(topic, map[string][]int32{kept: {0}}); err != nil {
		return fmt.Errorf("fetch offsets: %w", err)
	}
	answer("group at %d", committed.GetBlock(kept, 0).Offset)
	if err := adm.DeleteConsumerGroup(topic); err != nil {
		return fmt.Errorf("delete group: %w", err)
	}
	left, err := adm.ListConsumerGroups()
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	if _, there := left[topic]; !there {
		answer("group gone")
	}
	brokers, _, err := adm.DescribeCluster()
	if err != nil {
		return fmt.Errorf("describe cluster: %w", err)
	}
	answer("brokers %d", len(brokers))
	if err := adm.DeleteTopic(topic); err != nil {
		return fmt.Errorf("delete topic: %w", err)
	}
	topics, err := adm.ListTopics()
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	if _, there := topics[topic]; !there {
		answer("topic gone")
	}
	return nil
}

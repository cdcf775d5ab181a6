package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func franzAdmin(ctx context.Context, j job) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(j.bootstrap), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if err := franzAdminTopics(ctx, adm, j.topic); err != nil {
		return err
	}
	if err := franzAdminGroups(ctx, adm, j.topic, j.topic+"-kept"); err != nil {
		return err
	}
	return franzAdminGone(ctx, j)
}

// franzAdminGone looks for the topic with a client that has not seen it yet:
// one that has answers from its cache.
func franzAdminGone(ctx context.Context, j job) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(j.bootstrap))
	if err != nil {
		return err
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	if !topics.Has(j.topic) {
		answer("topic gone")
	}
	return nil
}

func franzAdminTopics(ctx context.Context, adm *kadm.Client, topic string) error {
	created, err := adm.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": kadm.StringPtr("3600000")}, topic)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	answer("created %d", created.NumPartitions)
	_, err = adm.CreateTopic(ctx, 2, 1, nil, topic)
	var refused *kerr.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("create again: %w", err)
	}
	answer("again %d", refused.Code)
	if _, err := adm.UpdatePartitions(ctx, 4, topic); err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	topics, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	answer("grown to %d", len(topics[topic].Partitions))
	for range 2 {
		configs, err := adm.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return fmt.Errorf("describe configs: %w", err)
		}
		for _, c := range configs[0].Configs {
			if c.Key == "retention.ms" {
				answer("retention.ms %s", c.MaybeValue())
			}
		}
		set := kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("7200000")}
		if _, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{set}, topic); err != nil {
			return fmt.Errorf("alter configs: %w", err)
		}
	}
	return nil
}

func franzAdminGroups(ctx context.Context, adm *kadm.Client, topic, kept string) error {
	cut, at := kadm.Offsets{}, kadm.Offsets{}
	cut.AddOffset(kept, 0, 5, -1)
	if _, err := adm.DeleteRecords(ctx, cut); err != nil {
		return fmt.Errorf("delete records: %w", err)
	}
	starts, err := adm.ListStartOffsets(ctx, kept)
	if err != nil {
		return fmt.Errorf("list offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, kept)
	if err != nil {
		return fmt.Errorf("list offsets: %w", err)
	}
	answer("kept %d to %d", starts[kept][0].Offset, ends[kept][0].Offset)
	groups, err := adm.DescribeGroups(ctx, topic)
	if err != nil {
		return fmt.Errorf("describe groups: %w", err)
	}
	committed, err := adm.FetchOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("fetch offsets: %w", err)
	}
	answer("group %s at %d", groups[topic].State, committed[kept][0].At)
	at.AddOffset(kept, 0, 7, -1)
	if err := adm.CommitAllOffsets(ctx, topic, at); err != nil {
		return fmt.Errorf("set offsets: %w", err)
	}
	if committed, err = adm.FetchOffsets(ctx, topic); err != nil {
		return fmt.Errorf("fetch offsets: %w", err)
	}
	answer("group at %d", committed[kept][0].At)
	if _, err := adm.DeleteGroup(ctx, topic); err != nil {
		return fmt.Errorf("delete group: %w", err)
	}
	left, err := adm.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	if _, there := left[topic]; !there {
		answer("group gone")
	}
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("list brokers: %w", err)
	}
	answer("brokers %d", len(brokers))
	if _, err := adm.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete topic: %w", err)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/internal/quantity"
)

// topicCreation is what `klamm topic create` is asked for.
type topicCreation struct {
	partitions  int32
	replication int16
	configs     map[string]*string
	ifMissing   bool
	dryRun      bool
}

func newTopicCreateCommand(env *environment) *cobra.Command {
	var creation topicCreation
	var configs settings
	cmd := &cobra.Command{
		Use:   "create TOPIC…",
		Short: "Create topics",
		Example: `  klamm topic create flights --partitions 4
  klamm topic create planes --set cleanup.policy=compact`,
		Args: arguments(1, -1),
	}
	flags := cmd.Flags()
	flags.Int32VarP(&creation.partitions, "partitions", "p", -1, "number of partitions; -1 is the cluster's default")
	flags.Int16VarP(&creation.replication, "replication-factor", "r", -1, "copies of each partition; -1 is the cluster's default")
	flags.BoolVar(&creation.ifMissing, "if-not-exists", false, "a topic that exists is no failure")
	flags.BoolVar(&creation.dryRun, "dry-run", false, "only check whether it could be done")
	configs.addFlags(cmd, false)
	cmd.RunE = func(cmd *cobra.Command, topics []string) (err error) {
		if creation.configs, err = configs.values(cmd); err != nil {
			return err
		}
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			return creation.create(cmd.Context(), env, admin, topics)
		})
	}
	return cmd
}

func (c *topicCreation) create(ctx context.Context, env *environment, admin *kadm.Client, topics []string) error {
	request, done := admin.CreateTopics, "created"
	if c.dryRun {
		request, done = admin.ValidateCreateTopics, "could be created"
	}
	responses, err := request(ctx, c.partitions, c.replication, c.configs, topics...)
	if err != nil {
		return fmt.Errorf("create topics: %s", reason(err, ""))
	}
	var failed failures
	for _, topic := range topics {
		r := responses[topic]
		switch {
		case r.Err == nil:
			fmt.Fprintf(env.out, "topic %s %s: %s\n", topic, done, topicSize(r.NumPartitions, r.ReplicationFactor))
		case errors.Is(r.Err, kerr.TopicAlreadyExists) && c.ifMissing:
			fmt.Fprintf(env.out, "topic %s exists already\n", topic)
		case errors.Is(r.Err, kerr.TopicAlreadyExists):
			failed.add("topic %s exists already. See `klamm topic describe %s`, or pass --if-not-exists", topic, topic)
		default:
			failed.add("create topic %s: %s", topic, reason(r.Err, r.ErrMessage))
		}
	}
	return failed.err()
}

// topicSize puts a topic's size in words; older brokers do not tell it.
func topicSize(partitions int32, replication int16) string {
	if partitions < 1 {
		return "size not told"
	}
	return fmt.Sprintf("%s, %s", quantity.Counted(int64(partitions), "partition", "partitions"), quantity.Counted(int64(replication), "replica", "replicas"))
}

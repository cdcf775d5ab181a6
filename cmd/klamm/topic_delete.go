package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newTopicDeleteCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete TOPIC…",
		Short:             "Delete topics and all their records",
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeTopics(-1),
	}
	ifExists := cmd.Flags().Bool("if-exists", false, "a topic that does not exist is no failure")
	cmd.RunE = func(cmd *cobra.Command, topics []string) error {
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			return env.deleteTopics(cmd.Context(), admin, topics, *ifExists)
		})
	}
	return cmd
}

func (e *environment) deleteTopics(ctx context.Context, admin *kadm.Client, topics []string, ifExists bool) error {
	responses, err := admin.DeleteTopics(ctx, topics...)
	if err != nil {
		return fmt.Errorf("delete topics: %s", reason(err, ""))
	}
	var failed failures
	for _, topic := range topics {
		r := responses[topic]
		switch {
		case r.Err == nil:
			fmt.Fprintf(e.out, "topic %s deleted\n", topic)
		case errors.Is(r.Err, kerr.UnknownTopicOrPartition) && ifExists:
			fmt.Fprintf(e.out, "topic %s does not exist\n", topic)
		case errors.Is(r.Err, kerr.UnknownTopicOrPartition):
			names, _ := topicNames(ctx, admin)
			failed.add("topic %s does not exist.%s See `klamm topic list`", topic, didYouMean(topic, names))
		default:
			failed.add("delete topic %s: %s", topic, reason(r.Err, r.ErrMessage))
		}
	}
	return failed.err()
}

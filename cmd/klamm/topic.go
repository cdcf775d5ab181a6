package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newTopicCommand(env *environment) *cobra.Command {
	return parentCommand("topic", "Create, list, describe, alter and delete topics",
		newTopicCreateCommand(env),
		newTopicListCommand(env),
		newTopicDescribeCommand(env),
		newTopicAlterCommand(env),
		newTopicDeleteCommand(env),
	)
}

// unknownTopic says that a topic does not exist, and what may have been meant.
func unknownTopic(ctx context.Context, admin *kadm.Client, topic string) error {
	names, err := topicNames(ctx, admin)
	if err != nil {
		names = nil
	}
	return fmt.Errorf("topic %s does not exist.%s Create it with `klamm topic create %s`", topic, didYouMean(topic, names), topic)
}

// topicFailure says why something about a topic failed.
func topicFailure(ctx context.Context, admin *kadm.Client, doing, topic string, err error, clusterSays string) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return unknownTopic(ctx, admin, topic)
	}
	return fmt.Errorf("%s topic %s: %s", doing, topic, reason(err, clusterSays))
}

// describeTopics asks for topics by name, all that are not internal where none
// is named, and fails for those that do not exist.
func describeTopics(ctx context.Context, admin *kadm.Client, names ...string) (kadm.TopicDetails, error) {
	details, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("ask for topics: %s", reason(err, ""))
	}
	var failed failures
	for _, topic := range details.Sorted() {
		if topic.Err != nil {
			failed.add("%w", topicFailure(ctx, admin, "describe", topic.Topic, topic.Err, ""))
		}
	}
	return details, failed.err()
}

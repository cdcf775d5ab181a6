package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/cluster/health"
)

func newPartitionCommand(env *environment) *cobra.Command {
	return parentCommand("partition", "Move partitions between brokers, and elect their leaders",
		newPartitionMoveCommand(env),
		newPartitionListMovesCommand(env),
		newPartitionCancelCommand(env),
		newPartitionElectCommand(env),
	)
}

// partitionFlags name partitions: of one topic some, or of topics all.
type partitionFlags struct {
	topics     []string
	partitions []int32
}

func (f *partitionFlags) add(env *environment, cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.topics, "topic", "t", nil, "only partitions of this `TOPIC`; may be repeated")
	cmd.Flags().Int32SliceVarP(&f.partitions, "partition", "p", nil, "only these `PARTITIONS` of the topic, as 0,1")
	must(cmd.RegisterFlagCompletionFunc("topic", env.completeTopics(-1)))
}

func (f *partitionFlags) check(cmd *cobra.Command) error {
	if len(f.partitions) > 0 && len(f.topics) != 1 {
		return badUsage(cmd, "--partition goes with one --topic")
	}
	return nil
}

// none says whether nothing is named, which may stand for all.
func (f *partitionFlags) none() bool { return len(f.topics) == 0 }

func (f *partitionFlags) name(tp topicPartition) bool {
	return (f.none() || slices.Contains(f.topics, tp.Topic)) && (len(f.partitions) == 0 || slices.Contains(f.partitions, tp.Partition))
}

// missing returns a topic or partition that is named and not among the facts.
func (f *partitionFlags) missing(facts *health.Facts) (topic string, partition int32, found bool) {
	for _, name := range f.topics {
		if partitionOf(facts, name, 0) == nil {
			return name, -1, true
		}
	}
	for _, p := range f.partitions {
		if partitionOf(facts, f.topics[0], p) == nil {
			return f.topics[0], p, true
		}
	}
	return "", 0, false
}

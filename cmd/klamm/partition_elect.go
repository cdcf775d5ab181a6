package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/internal/quantity"
)

// The types of election that a cluster knows.
const (
	electPreferred int8 = 0
	electUnclean   int8 = 1
)

func newPartitionElectCommand(env *environment) *cobra.Command {
	var named partitionFlags
	var preferred, unclean bool
	cmd := &cobra.Command{
		Use:   "elect-leaders",
		Short: "Elect preferred leaders, or any for partitions that have none",
		Long: `Let partitions be led by their preferred leaders, the first of their replicas, where
these are in sync: after a broker was down, others lead what it led.

With --unclean, let any replica that is up lead where a partition has no leader.
Records that only the others have are lost for good, also when these come back:
start their brokers instead if you can.`,
		Example: `  klamm partition elect-leaders
  klamm partition elect-leaders --unclean --topic flights --partition 3`,
		Args: arguments(0, 0),
	}
	named.add(env, cmd)
	cmd.Flags().BoolVar(&preferred, "preferred", false, "elect preferred leaders, as it is without --unclean")
	cmd.Flags().BoolVar(&unclean, "unclean", false, "elect any replica where there is no leader; loses records")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		how := electPreferred
		switch {
		case preferred && unclean:
			return badUsage(cmd, "pass either --preferred or --unclean")
		case unclean && named.none():
			return badUsage(cmd, "--unclean loses records: name with --topic what it is for. See `klamm cluster health` for the partitions without leader")
		case unclean:
			how = electUnclean
		}
		if err := named.check(cmd); err != nil {
			return err
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			return env.electLeaders(cmd.Context(), client, how, &named)
		})
	}
	return cmd
}

// electLeaders asks for the elections that are needed, so that what comes back is
// about these alone.
func (e *environment) electLeaders(ctx context.Context, client *kgo.Client, how int8, named *partitionFlags) error {
	f, err := gather(ctx, client)
	if err != nil {
		return err
	}
	if topic, partition, found := named.missing(f); found {
		return e.unknownPartition(ctx, client, topicPartition{Topic: topic, Partition: max(0, partition)})
	}
	var needed []topicPartition
	for i := range f.Partitions {
		p := &f.Partitions[i]
		if how == electUnclean && p.Leader >= 0 || how == electPreferred && p.Leader == p.Replicas[0] || !named.name(p.TopicPartition) {
			continue
		}
		needed = append(needed, p.TopicPartition)
	}
	refused, err := elect(ctx, client, how, needed)
	if err != nil {
		return fmt.Errorf("elect leaders: %s", why(err))
	}
	var failed failures
	var elected []string
	for _, tp := range needed {
		switch r, found := refused[tp]; {
		case !found:
			elected = append(elected, tp.String())
		case errors.Is(r.err, kerr.ElectionNotNeeded): // somebody else was faster
		case errors.Is(r.err, kerr.PreferredLeaderNotAvailable):
			failed.add("%s: broker %d is not up or not in sync. See `klamm cluster health`", tp, partitionOf(f, tp.Topic, tp.Partition).Replicas[0])
		case errors.Is(r.err, kerr.EligibleLeadersNotAvailable):
			failed.add("%s: none of its brokers %s is up: start one", tp, joinInts(partitionOf(f, tp.Topic, tp.Partition).Replicas))
		default:
			failed.add("%s: %s", tp, r)
		}
	}
	fmt.Fprintf(e.out, "%s elected%s\n", quantity.Counted(int64(len(elected)), "leader", "leaders"), ofSome(elected))
	return failed.err()
}

// ofSome names what there is, if it is not nothing.
func ofSome(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": " + fewNames(names)
}

// elect asks for elections; what is refused is returned by partition.
func elect(ctx context.Context, client *kgo.Client, how int8, partitions []topicPartition) (map[topicPartition]refusal, error) {
	refused := map[topicPartition]refusal{}
	for some := range slices.Chunk(partitions, assignAtOnce) {
		req := kmsg.NewPtrElectLeadersRequest()
		req.ElectionType = how
		for _, tp := range some {
			if last := len(req.Topics) - 1; last < 0 || req.Topics[last].Topic != tp.Topic {
				topic := kmsg.NewElectLeadersRequestTopic()
				topic.Topic = tp.Topic
				req.Topics = append(req.Topics, topic)
			}
			topic := &req.Topics[len(req.Topics)-1]
			topic.Partitions = append(topic.Partitions, tp.Partition)
		}
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return refused, err
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return refused, err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					refused[topicPartition{Topic: t.Topic, Partition: p.Partition}] = refusal{err, textOf(p.ErrorMessage)}
				}
			}
		}
	}
	return refused, nil
}
